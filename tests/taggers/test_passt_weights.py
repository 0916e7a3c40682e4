"""Published weights of PaSST: every form loads, strictly, and image weights make a start."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.taggers.test_passt import TOY, generator, make_toy, on_meta, tokens_seen
from woosh.taggers.passt import Passt
from woosh.taggers.passt_weights import RELEASES, VARIANTS, Variant, adapt_imagenet, load_passt


@pytest.fixture
def toy_variant(monkeypatch: pytest.MonkeyPatch) -> str:
    """A variant that is small enough for a file in a test."""
    monkeypatch.setitem(VARIANTS, "toy", Variant(TOY, ("v1/toy.pt", "v2/toy-swa.pt")))
    return "toy"


@pytest.mark.parametrize("form", ["plain.pt", "plain.safetensors", "wrapped.pt", "folder"])
def test_every_form_of_weights_loads(form: str, toy_variant: str, tmp_path: Path) -> None:
    model, path = make_toy(), tmp_path / form
    state = {name: value.clone() for name, value in model.state_dict().items()}
    if form == "folder":
        model.save_pretrained(path)
        loaded = load_passt(path)
    else:
        if form == "wrapped.pt":
            state = {f"net.{n}": t for n, t in state.items()} | {"device_proxy": torch.zeros(1)}
        save_file(state, path) if form == "plain.safetensors" else torch.save(state, path)
        loaded = load_passt(str(path), toy_variant)
    assert not loaded.training
    assert not loaded.head_dist.weight.requires_grad
    for name, value in model.state_dict().items():
        assert loaded.state_dict()[name].equal(value), name
    audio = torch.randn(1, 32_000, generator=generator())
    # Equal but for the last bit: weights mapped from a file lie otherwise in memory.
    torch.testing.assert_close(
        loaded.probabilities(audio), model.probabilities(audio), rtol=1e-5, atol=1e-6
    )


def test_patchout_is_named_on_loading(toy_variant: str, tmp_path: Path) -> None:
    model = make_toy()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    model.save_pretrained(tmp_path / "folder")
    patchout = {"patchout_time": 8, "patchout_frequency": 2}
    for loaded in (
        load_passt(tmp_path / "weights.pt", toy_variant, patchout),
        load_passt(tmp_path / "folder", patchout=patchout),
    ):
        assert tokens_seen(loaded, 208) == [242]
        assert tokens_seen(loaded.train(), 208) == [2 + 10 * 12]


def test_half_precision_weights_load_as_float32(toy_variant: str, tmp_path: Path) -> None:
    torch.save({n: t.half() for n, t in make_toy().state_dict().items()}, tmp_path / "half.pt")
    assert load_passt(tmp_path / "half.pt", toy_variant).dtype == torch.float32


def test_tensors_that_do_not_fit_are_named(toy_variant: str, tmp_path: Path) -> None:
    state = dict(make_toy().state_dict())
    state["blocks.7.norm1.bias"] = state.pop("norm.bias")
    state["cls_token"] = torch.zeros(1, 1, 8)
    state["head.1.bias"] = torch.zeros(5, dtype=torch.int64)
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="as variant toy") as caught:
        load_passt(tmp_path / "weights.pt", toy_variant)
    for words in (
        "norm.bias is missing",
        "blocks.7.norm1.bias is left over",
        "cls_token has shape (1, 1, 8), expected (1, 1, 16)",
        "head.1.bias holds torch.int64",
    ):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    "name", ["damaged.pt", "damaged.safetensors", "objects.pt", "list.pt", "a.bin"]
)
def test_files_that_cannot_be_read_safely_are_refused(
    name: str, toy_variant: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if name.startswith("damaged"):
        path.write_bytes(b"no weights at all")
    else:
        torch.save({"objects.pt": {"path": path}, "list.pt": [torch.zeros(1)]}.get(name), path)
    with pytest.raises(ValueError, match=name):
        load_passt(path, toy_variant)


def test_a_file_needs_a_known_variant_and_a_folder_none(toy_variant: str, tmp_path: Path) -> None:
    model = make_toy()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    model.save_pretrained(tmp_path / "folder")
    for variant in (None, "s11"):
        with pytest.raises(ValueError, match="s10, s12, s14, s16, l, 20sec"):
            load_passt(tmp_path / "weights.pt", variant)
    with pytest.raises(ValueError, match="name no variant"):
        load_passt(tmp_path / "folder", toy_variant)


@pytest.mark.parametrize("place", ["", "missing.pt"])
def test_a_missing_file_names_the_published_ones(place: str, toy_variant: str) -> None:
    with pytest.raises(
        FileNotFoundError, match=f"{RELEASES}/v1/toy.pt or {RELEASES}/v2/toy-swa.pt"
    ):
        load_passt(place, toy_variant)


def test_an_address_on_the_hub_names_owner_repository_and_file() -> None:
    with pytest.raises(ValueError, match="hf://OWNER/REPOSITORY/FILE"):
        load_passt("hf://owner/repository", "s10")
    with pytest.raises(FileNotFoundError, match="cannot be had from the Hugging Face hub"):
        load_passt("hf://owner/repository/weights.pt", "s10")  # tests are offline


def test_published_files_are_listed_once_with_known_sizes() -> None:
    names = [name for variant in VARIANTS.values() for name in variant.releases]
    assert len(names) == len(set(names))
    assert all(name.count("/") == 1 and name.endswith((".pt", ".zip")) for name in names)
    for variant in VARIANTS.values():
        on_meta(**variant.sizes | {"depth": 0})


def image_weights(model: Passt, grid: Tensor) -> dict[str, Tensor]:
    """Weights of a square image transformer around a grid of positions (W, n, n)."""
    shared = ("cls_token", "dist_token", "blocks.", "norm.", "patch_embed.proj.bias")
    state = {n: torch.randn(t.shape) for n, t in model.state_dict().items() if n.startswith(shared)}
    state["pos_embed"] = torch.cat([torch.randn(1, 2, 16), grid.flatten(1).T[None]], dim=1)
    state["patch_embed.proj.weight"] = torch.randn(16, 3, 16, 16)
    return state | {"head.weight": torch.zeros(1000, 16), "head.bias": torch.zeros(1000)}


def test_image_weights_start_the_network_with_separate_positions() -> None:
    model = Passt(**TOY)
    row, column = torch.randn(16, 1, 1), torch.randn(16, 1, 1)
    ramp = torch.arange(24.0)
    tensors = image_weights(model, row * ramp[:, None] + column * ramp[None, :])
    state = adapt_imagenet(tensors, model)
    model.load_state_dict(state, strict=True)
    # Each axis keeps its own ramp, sampled at as many points, and the mean of the other one; the
    # cubic kernel follows a ramp to a tenth of its slope between its points.
    rows = (torch.arange(12.0) + 0.5) * 2 - 0.5
    expected = row[:, :, 0] * rows + column[:, :, 0] * 11.5
    inner = slice(2, -2)  # bicubic interpolation bends at the border
    torch.testing.assert_close(
        state["freq_new_pos_embed"][0, :, inner, 0], expected[:, inner], rtol=1e-3, atol=2e-2
    )
    assert state["time_new_pos_embed"].shape == (1, 16, 1, 20)
    slope = state["time_new_pos_embed"][0, :, 0, inner].diff(dim=1)
    torch.testing.assert_close(slope, (column[:, 0] * 1.2).expand(16, 15), rtol=0.1, atol=2e-2)
    assert state["new_pos_embed"].equal(tensors["pos_embed"][:, :2])
    x = torch.randn(1, 1, 128, 50)
    grey = nn.functional.conv2d(x.expand(-1, 3, -1, -1), tensors["patch_embed.proj.weight"])
    ours = nn.functional.conv2d(x, state["patch_embed.proj.weight"])
    torch.testing.assert_close(ours, grey, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pos_embed": None}, "pos_embed is missing"),
        ({"pos_embed": torch.zeros(1, 12, 16)}, "no square grid"),
        ({"norm.bias": None}, "norm.bias is missing"),
        ({"norm.bias": torch.zeros(3)}, "norm.bias has shape"),
    ],
)
def test_image_weights_that_do_not_fit_are_refused(change: dict, message: str) -> None:
    model = Passt(**TOY)
    tensors = image_weights(model, torch.zeros(16, 4, 4)) | change
    with pytest.raises(ValueError, match=message):
        adapt_imagenet({n: t for n, t in tensors.items() if t is not None}, model)
