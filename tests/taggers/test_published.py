"""Published files of the family: told apart by their tensors, loaded strictly, equal to the reference."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.official import assert_parity
from tests.paths import SHARED
from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.log_mel import LogMel
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.published import from_published, load_published

MN04 = SHARED / "official" / "mn04"


@pytest.mark.skipif(not MN04.is_dir(), reason="no shared checkpoint mn04")
def test_the_published_mn04_gives_the_reference_s_logits() -> None:
    model = load_published(MN04 / "mn04_as_mAP_432.pt")
    io = load_file(MN04 / "io.safetensors")
    front, audio = LogMel(), io["audio"].float()
    with torch.no_grad():
        logits, features = model(io["mel"].float())
        assert_parity(logits, io["logits"])
        assert_parity(features, io["features"])
        assert_parity(model(front(audio)[:, None]).logits, io["logits"])
        short = model(front(audio[:, :96_000])[:, None])
    assert_parity(short.logits, io["logits_3s"])
    assert_parity(short.features, io["features_3s"])
    assert sum(value.numel() for value in model.parameters()) == 983_599


@pytest.mark.parametrize(
    "model",
    [
        MobileNet(0.1, classes=7),
        MobileNet(0.2, classes=7),
        MobileNet(0.4, classes=7, head="fully_convolutional"),
        MobileNet(0.3, classes=7, head="attention", attention_heads=2),
        DynamicMobileNet(0.1, classes=7),
        DynamicMobileNet(0.1, classes=7, replace_squeeze=True),
    ],
    ids=["mn01", "mn02", "fully convolutional", "attention", "dynamic", "replace squeeze"],
)
def test_a_file_tells_what_it_holds(model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "mn40_as_mAP_484.safetensors"  # the name is not trusted
    save_file(model.state_dict(), path)
    loaded = load_published(path)
    assert type(loaded) is type(model)
    log_mel = torch.randn(2, 1, 128, 60)
    with torch.no_grad():
        torch.testing.assert_close(loaded(log_mel), model.eval()(log_mel), rtol=0, atol=0)


def test_a_pickle_with_more_than_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"model": print}, tmp_path / "bad.pt")
    with pytest.raises(ValueError, match="more than tensors"):
        load_published(tmp_path / "bad.pt")
    with pytest.raises(FileNotFoundError):
        load_published(tmp_path / "none.pt")


def test_tensors_are_taken_strictly() -> None:
    model = MobileNet(0.1, classes=7)
    state, config = model.state_dict(), {"model": "MN", "width": 0.1, "num_classes": 7}
    without = {name: value for name, value in state.items() if name != "classifier.2.bias"}
    with pytest.raises(ValueError, match=r"classifier\.2\.bias is missing"):
        from_published(config, without)
    with pytest.raises(ValueError, match="odd is left over"):
        from_published(config, state | {"odd": torch.zeros(1)})
    with pytest.raises(ValueError, match="has shape"):
        from_published(config | {"num_classes": 8}, state)
    with pytest.raises(ValueError, match="model is 'VGG'"):
        from_published(config | {"model": "VGG"}, state)
    with pytest.raises(ValueError, match="width"):
        from_published({"model": "MN", "num_classes": 7}, state)
    with pytest.raises(ValueError, match="'linear'"):
        from_published(config | {"head_type": "linear"}, state)


def test_files_of_other_networks_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds no MobileNet"):
        load_published(tmp_path / "other.safetensors")
