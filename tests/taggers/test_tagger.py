"""A tagger's folder and files: what is saved is loaded, in any precision; anything else is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.official import assert_parity
from tests.paths import SHARED
from woosh.embeddings.embedders import load_embedder
from woosh.embeddings.tagging import load_tagger as load_hearing
from woosh.taggers import AudioTagger, from_published, load_tagger, save_tagger
from woosh.taggers.congater import ConGater
from woosh.taggers.cp_densenet import CpDenseNet
from woosh.taggers.cp_mobile import CpMobile
from woosh.taggers.cp_resnet import CpResNet
from woosh.taggers.cp_vgg import CpVgg
from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.fields import Axis, ConvolutionForm, Fields, wide_kernels
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.passt import Passt
from woosh.taggers.tagger import FrontEnd

MN04 = SHARED / "official" / "mn04"
LABELS = ("bell", "door, creaking", "Größe")


def toy() -> AudioTagger:
    return AudioTagger(MobileNet(0.1, classes=3), LABELS).eval()


NARROW = Fields(
    (1, 1, 1),
    Axis(wide_kernels(1, 6), halved_after=(1,), damping=0.1),
    Axis(wide_kernels(3, 6), halved_after=(1, 2)),
)


def small_passt() -> Passt:
    return Passt(width=8, depth=1, heads=2, stride=16, frames=80, classes=3)


@pytest.mark.parametrize(
    "tagger",
    [
        toy(),
        AudioTagger(MobileNet(0.1, classes=3), LABELS, FrontEnd(500, 64)).eval(),
        AudioTagger(DynamicMobileNet(0.1, classes=3), LABELS).eval(),
        AudioTagger(CpResNet(4, 1, 3, NARROW, ConvolutionForm(True), True), LABELS).eval(),
        AudioTagger(CpVgg(4, 1, 3, NARROW, ConvolutionForm(prunable=True)), LABELS).eval(),
        AudioTagger(CpDenseNet(8, 1, 3, NARROW, ConvolutionForm(groups=2)), LABELS).eval(),
        AudioTagger(CpMobile(8, classes=3), LABELS, FrontEnd(500, 256, 32_000, 4096, 3072)).eval(),
        AudioTagger(small_passt(), LABELS).eval(),
        AudioTagger(ConGater(small_passt(), ("device",), "L", "all"), LABELS).eval(),
    ],
    ids=[
        *("mobilenet", "another front end", "dynamic", "cp-resnet", "cp-vgg", "cp-densenet"),
        *("cp-mobile", "passt", "congater"),
    ],
)
def test_a_folder_gives_the_same_tagger(tagger: AudioTagger, tmp_path: Path) -> None:
    save_tagger(tagger, tmp_path / "ear")
    loaded = load_tagger(tmp_path / "ear")
    audio = torch.randn(2, 20_000) * 0.1
    with torch.no_grad():
        for first, second in zip(loaded(audio), tagger(audio), strict=True):
            assert torch.equal(first, second)
    assert loaded.labels == LABELS and loaded.front_end == tagger.front_end
    assert not loaded.training


def test_half_precision_is_loaded_in_single(tmp_path: Path) -> None:
    tagger = toy()
    tagger.network.half()
    save_tagger(tagger, tmp_path)
    loaded = load_tagger(tmp_path)
    assert all(value.dtype == torch.float32 for value in loaded.network.parameters())


def test_the_same_by_every_name(tmp_path: Path) -> None:
    """A folder, and a file with labels beside it, as an embedder, as a tagger and on its own."""
    tagger = toy()
    save_tagger(tagger, tmp_path / "ear")
    save_file(tagger.network.state_dict(), tmp_path / "net.safetensors")
    shutil.copy(tmp_path / "ear" / "labels.txt", tmp_path / "labels.txt")
    audio = torch.randn(20_000) * 0.1
    with torch.no_grad():
        expected = tagger(audio[None]).logits
    for name in (
        f"tagger:{tmp_path / 'ear'}",
        str(tmp_path / "ear"),
        f"tagger:{tmp_path}/net.safetensors",
    ):
        heard = load_embedder(name).listen(audio)
        torch.testing.assert_close(heard.logits, expected)
        assert heard.embedding.shape == (tagger.network.feature_width,)
        assert load_hearing(name, None).labels == LABELS
    assert load_tagger(tmp_path / "net.safetensors").labels == LABELS


@pytest.mark.skipif(not MN04.is_dir(), reason="no shared checkpoint mn04")
def test_the_published_file_with_its_labels() -> None:
    tagger = load_tagger(MN04 / "mn04_as_mAP_432.pt")
    io = load_file(MN04 / "io.safetensors")
    with torch.no_grad():
        assert_parity(tagger(io["audio"].float()).logits, io["logits"])
    assert len(tagger.labels) == 527 and tagger.labels[:2] == (
        "Speech",
        "Male speech, man speaking",
    )


def test_the_package_gives_networks_of_settings_and_tensors() -> None:
    network = MobileNet(0.1, classes=3).eval()
    config = {"model": "MN", "width": 0.1, "num_classes": 3}
    mel = torch.randn(1, 1, 128, 50)
    with torch.no_grad():
        assert torch.equal(from_published(config, network.state_dict())(mel)[0], network(mel)[0])


def broken(folder: Path, **changes: object) -> Path:
    save_tagger(toy(), folder)
    path = folder / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def test_what_is_no_tagger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="unknown tagger"):
        load_tagger(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no model_index.json"):
        load_tagger(tmp_path / "empty")
    with pytest.raises(ValueError, match="holds a WooshClap, not an AudioTagger"):
        load_tagger("woosh-tiny-clap")
    with pytest.raises(
        ValueError, match="network must be one of MobileNet, DynamicMobileNet, .*, not 'Ear'"
    ):
        load_tagger(broken(tmp_path / "network", network="Ear"))
    with pytest.raises(ValueError, match="front_end must name bands and hop_length, of"):
        load_tagger(broken(tmp_path / "front", front_end={"bands": 128}))
    with pytest.raises(ValueError, match=r"hop makes no tagger: hop_length is 0"):
        load_tagger(broken(tmp_path / "hop", front_end={"bands": 128, "hop_length": 0}))
    save_tagger(toy(), tmp_path / "labels")
    (tmp_path / "labels" / "labels.txt").write_text("a\nb\n")
    with pytest.raises(ValueError, match="2 labels for a network of 3 classes"):
        load_tagger(tmp_path / "labels")
    (tmp_path / "labels" / "labels.txt").unlink()
    with pytest.raises(FileNotFoundError, match="no class names"):
        load_tagger(tmp_path / "labels")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "labels.txt").write_text("a\n")
    with pytest.raises(ValueError, match="holds no MobileNet"):
        load_tagger(tmp_path / "other.safetensors")


def test_a_control_is_one_that_the_tagger_has(tmp_path: Path) -> None:
    """From 0 to 1, by the domain's name."""
    save_tagger(AudioTagger(ConGater(small_passt(), ("device",), "T", "last"), LABELS), tmp_path)
    assert load_tagger(tmp_path, control={"device": 0.7}).controls.tolist() == [
        [pytest.approx(0.7)]
    ]  # type: ignore[union-attr]
    for control, message in (
        ({"room": 0.5}, "no control 'room': it has device"),
        ({"device": 1.5}, "control device is 1.5; it must be from 0 to 1"),
        ({"device": float("nan")}, "control device is nan"),
    ):
        with pytest.raises(ValueError, match=message):
            load_tagger(tmp_path, control=control)
