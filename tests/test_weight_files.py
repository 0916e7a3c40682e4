"""Files of networks in eight bits: what is read is what was written, and what does not fit is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from safetensors.torch import load_file, save_file
from torch import nn

from tests.kept_forms import WIDE
from tests.toys import make_autoencoder, make_mel_autoencoder, make_transformer, randomise
from woosh.autoencoder import WooshAutoencoder, WooshMelAutoencoder, load_autoencoder
from woosh.compact_weights import SCALES, compacted, restored
from woosh.generation.loading import load_part
from woosh.generation.text_encoder import WooshTextEncoder
from woosh.generation.transformer import WooshTransformer
from woosh.taggers.passt import Passt
from woosh.weight_files import (
    COMPACT_FILE,
    WHOLE_FILE,
    check_settings,
    load_saved,
    read_tensors,
    save_compact,
)

MAKERS = {
    "transformer": lambda: make_transformer(width=WIDE, linear_skip=True),
    "seeing transformer": lambda: make_transformer(width=WIDE, flow_map=True, video_channels=5),
    "mel autoencoder": lambda: make_mel_autoencoder(32),
    "autoencoder": make_autoencoder,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A transformer in eight bits."""
    save_compact(randomise(make_transformer(width=WIDE), 1), tmp_path / "transformer")
    return tmp_path / "transformer"


def assert_same(model: Any, tensors: dict[str, torch.Tensor]) -> None:
    state = model.state_dict()
    assert state.keys() == tensors.keys()
    assert all(torch.equal(value, tensors[name]) for name, value in state.items())
    assert all(value.dtype == tensors[name].dtype for name, value in state.items())


def sizes(model: Any) -> dict[str, Any]:
    return {name: value for name, value in model.config.items() if not name.startswith("_")}


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_read_is_what_was_written(
    kind: str, dtype: torch.dtype | None, tmp_path: Path
) -> None:
    model = randomise(MAKERS[kind](), 1)
    save_compact(model, tmp_path / "part")
    assert sorted(p.name for p in (tmp_path / "part").iterdir()) == ["config.json", COMPACT_FILE]
    loaded = load_saved(type(model), tmp_path / "part", dtype)
    assert_same(loaded, restored(compacted(model), dtype or torch.float32))
    assert not loaded.training and type(loaded) is type(model)
    assert sizes(loaded) == sizes(model)
    part = "transformer" if "transformer" in kind else "autoencoder"
    assert_same(load_part(part, tmp_path / "part", dtype), loaded.state_dict())


def test_a_whole_network_is_saved_from_what_was_read(folder: Path, tmp_path: Path) -> None:
    loaded = load_saved(WooshTransformer, folder, torch.float32)
    loaded.save_pretrained(tmp_path / "whole")
    again = WooshTransformer.from_pretrained(tmp_path / "whole")
    assert_same(again, loaded.state_dict())


def test_sound_goes_through_an_autoencoder_in_eight_bits(tmp_path: Path) -> None:
    model = randomise(make_mel_autoencoder(32), 1)
    save_compact(model, tmp_path)
    loaded = load_autoencoder(tmp_path, torch.float32)
    audio = 0.1 * torch.randn(1, 1, 9_600, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        latents, kept = model.encode(audio), loaded.encode(audio)  # type: ignore[operator]
        assert (latents - kept).norm() < 0.01 * latents.norm()
        assert loaded.decode(kept).isfinite().all()


def test_the_file_is_half_as_large(folder: Path) -> None:
    model = load_saved(WooshTransformer, folder)
    model.save_pretrained(folder.parent / "half")
    (half,) = (folder.parent / "half").glob("*.safetensors")
    assert (folder / COMPACT_FILE).stat().st_size < 0.6 * half.stat().st_size


def test_diffusers_alone_refuses_instead_of_reading_wrong_numbers(folder: Path) -> None:
    with pytest.raises(OSError, match="no file named diffusion_pytorch_model"):
        WooshTransformer.from_pretrained(folder, local_files_only=True)


def test_a_damaged_file_is_refused(folder: Path) -> None:
    path = folder / COMPACT_FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"the weights in {folder} are damaged"):
        load_saved(WooshTransformer, folder)


def test_missing_and_misshapen_scales_are_refused(folder: Path) -> None:
    path = folder / COMPACT_FILE
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith(SCALES))
    wrong = {"cut": tensors[name][:5].contiguous(), "one for all": tensors[name][:1].contiguous()}
    for scales in wrong.values():
        save_file(tensors | {name: scales}, path)
        with pytest.raises(ValueError, match=f"{folder} are damaged: the scales of"):
            load_saved(WooshTransformer, folder)
    save_file({key: value for key, value in tensors.items() if key != name}, path)
    with pytest.raises(ValueError, match=f"{folder}.*holds torch.int8, expected floating"):
        load_saved(WooshTransformer, folder)


def test_a_configuration_that_does_not_fit_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "inner_width": 64}))
    with pytest.raises(
        ValueError, match=r"text_in.contract.weight has shape \(96, 192\), expected"
    ):
        load_saved(WooshTransformer, folder)
    (folder / "config.json").write_text(json.dumps({**config, "flow_map": True}))
    with pytest.raises(ValueError, match=r"8bit.*flow_map_embedding.\S* is missing"):
        load_saved(WooshTransformer, folder)


def test_a_network_with_values_that_no_form_holds_is_not_written(tmp_path: Path) -> None:
    model = randomise(make_transformer(width=WIDE), 1)
    for value, message in ((float("nan"), "eight bits"), (1e6, "beyond half precision")):
        layer = model.fused[0].out if message == "eight bits" else model.memory_token  # type: ignore[index, union-attr]
        with torch.no_grad():
            getattr(layer, "weight", layer)[..., 0] = value  # type: ignore[index, call-overload]
        with pytest.raises(ValueError, match=message):
            save_compact(model, tmp_path / "part")
        assert not (tmp_path / "part").exists()
        model = randomise(make_transformer(width=WIDE), 1)


def whole_folder(folder: Path, **broken: torch.Tensor) -> Path:
    """A transformer in its usual form, with some tensors replaced."""
    make_transformer(width=WIDE).save_pretrained(folder)
    path = folder / WHOLE_FILE
    save_file(load_file(path) | broken, path)
    return folder


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_that_are_not_finite_are_refused_by_name(
    value: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    """They were taken in silence, and every sound or score was NaN."""
    tensor = torch.ones(3, 5, dtype=dtype)
    tensor[1, 2] = value
    tensors = {"large": torch.full((9, 9), torch.finfo(dtype).max, dtype=dtype)}
    save_file(tensors, tmp_path / "large.safetensors")
    assert set(read_tensors(tmp_path / "large.safetensors")) == {"large"}
    save_file(tensors | {"layer.weight": tensor}, tmp_path / "a.safetensors")
    torch.save(tensors | {"layer.weight": tensor}, tmp_path / "a.pt")
    for name in ("a.safetensors", "a.pt"):
        with pytest.raises(ValueError, match=rf"{name}: layer.weight holds values that are NaN"):
            read_tensors(tmp_path / name)


def test_a_network_with_values_that_are_not_finite_is_refused(tmp_path: Path, folder: Path) -> None:
    """In its usual form and in eight bits, whose scales can be infinite too."""
    name = "memory_token"
    shape = load_file(whole_folder(tmp_path / "whole") / WHOLE_FILE)[name].shape
    whole_folder(tmp_path / "whole", **{name: torch.full(shape, float("nan"))})
    with pytest.raises(ValueError, match=rf"{WHOLE_FILE}: {name} holds"):
        load_saved(WooshTransformer, tmp_path / "whole")
    tensors = load_file(folder / COMPACT_FILE)
    scales = next(name for name in tensors if name.endswith(SCALES))
    save_file(
        tensors | {scales: torch.full_like(tensors[scales], float("inf"))}, folder / COMPACT_FILE
    )
    with pytest.raises(ValueError, match=rf"{COMPACT_FILE}: {scales} holds"):
        load_saved(WooshTransformer, folder)


@pytest.mark.parametrize("width", [10**6, 10**9, 10**30, -8, 0, "wide"])
def test_sizes_that_the_weights_do_not_have_are_refused_before_memory_is_taken(
    width: Any, tmp_path: Path, folder: Path
) -> None:
    """A width of 10^9 in a config.json ended the process for want of memory."""
    for place in (whole_folder(tmp_path / "whole"), folder):
        config = json.loads((place / "config.json").read_text())
        (place / "config.json").write_text(json.dumps({**config, "width": width}))
        with pytest.raises(ValueError) as raised:
            load_saved(WooshTransformer, place)
        assert str(place) in str(raised.value)


@pytest.mark.parametrize(
    ("network", "name", "value"),
    [
        (WooshMelAutoencoder, "sample_rate", 1),  # shorter than a sample, they said of the sound
        (WooshMelAutoencoder, "sample_rate", 10**12),  # 40 GB of noise
        (WooshMelAutoencoder, "n_fft", 10**6),  # 2.2 GB of bands
        (WooshMelAutoencoder, "bands", 10**6),  # 13.8 GB of them
        (WooshAutoencoder, "sample_rate", 999),
        (WooshTransformer, "joint_blocks", 1001),
        (WooshTransformer, "max_frames", 10**12),  # positions of 4 TB
        (WooshTextEncoder, "heads", -1),  # which every width can be divided by
        (Passt, "depth", -1),
    ],
)
def test_settings_out_of_their_range_are_refused_by_name(
    network: type, name: str, value: int
) -> None:
    """What they make is computed before a tensor that does not fit could tell that they are wrong."""
    with pytest.raises(ValueError, match=rf"^config\.json: {name} is {value}; it must be from"):
        check_settings(network, {name: value}, "config.json")


def test_a_tensor_that_is_missing_or_left_over_is_refused(tmp_path: Path) -> None:
    """Diffusers fills a missing one with random numbers."""
    place = whole_folder(tmp_path / "whole", other=torch.ones(2))
    with pytest.raises(ValueError, match="other is left over"):
        load_saved(WooshTransformer, place)
    tensors = load_file(place / WHOLE_FILE)
    del tensors["other"], tensors["memory_token"]
    save_file(tensors, place / WHOLE_FILE)
    with pytest.raises(ValueError, match="memory_token is missing"):
        load_saved(WooshTransformer, place)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_of_both_forms_are_read_if_they_hold_tensors_only(
    zipped: bool, tmp_path: Path
) -> None:
    """Files from before torch 1.6 are no zip archives; many published weights are such files."""
    tensors = {"letters": torch.arange(6.0).reshape(2, 3), "b": torch.ones(300, 300)}
    path = tmp_path / "a.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
    read = read_tensors(path)
    assert all(torch.equal(read[name], value) for name, value in tensors.items())
    content = path.read_bytes()
    path.write_bytes(content[:-1000])
    with pytest.raises(ValueError, match=f"{path} is {'cut' if zipped else 'damaged'}"):
        read_tensors(path)
    path.write_bytes(content.replace(b"letters", b"l\x85tters"))
    with pytest.raises(ValueError, match=f"{path} is damaged"):
        read_tensors(path)
    torch.save({"a": Path("x")}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=f"{path} is damaged or holds more than tensors"):
        read_tensors(path)


class Positions(ModelMixin, ConfigMixin):
    """A network with a table that its constructor computes and no file holds, within a part."""

    @register_to_config
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.part = nn.Linear(width, width)
        self.part.register_buffer("table", torch.arange(width) + 0.5, persistent=False)


def test_tables_that_are_in_no_file_are_computed_again(tmp_path: Path) -> None:
    """In eight bits a network is built without memory: its tables had no values, which only its first use told."""
    model = Positions(6).eval()
    save_compact(model, tmp_path)
    loaded = load_saved(Positions, tmp_path)
    assert not any(value.is_meta for value in (*loaded.buffers(), *loaded.parameters()))
    assert torch.equal(loaded.part.table, model.part.table)
    torch.testing.assert_close(loaded.part.weight, model.part.weight, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_a_wrong_byte_is_read_or_refused_by_name(
    zipped: bool, tmp_path: Path
) -> None:
    """One that named an object which it had not kept was a KeyError."""
    path = tmp_path / "a.pt"
    torch.save(
        {"a": torch.ones(2), "b": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped
    )
    whole, refused = path.read_bytes(), 0
    for place in range(0, min(len(whole), 700), 5):
        path.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        try:
            read_tensors(path)
        except ValueError as error:
            assert str(path) in str(error), (place, error)
            refused += 1
    assert refused > 10
