"""PaSST: published sizes and names, its network against torch's own, patchout, positions and loading."""

import itertools
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tests.official import fill
from woosh.passt import (
    PATCH_SIZE,
    RELEASES,
    VARIANTS,
    Passt,
    PasstOutput,
    Variant,
    adapt_imagenet,
    keep_some,
    load_passt,
)

TOY = {"width": 16, "depth": 2, "heads": 2, "frames": 208, "classes": 5}  # 12 rows, 20 columns


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_toy(**changes: Any) -> Passt:
    """A small network whose weights are large enough for every part to matter."""
    model = Passt(**TOY | changes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape)
    return model.eval()


def spectrogram(clips: int = 2, frames: int = 208, seed: int = 1) -> Tensor:
    return torch.randn(clips, 128, frames, generator=generator(seed))


def on_meta(**sizes: Any) -> Passt:
    with torch.device("meta"):
        return Passt(**sizes)


def tokens_seen(model: Passt, frames: int) -> list[int]:
    """Tokens that arrive at the first block."""
    seen: list[int] = []
    hook = model.blocks[0].register_forward_hook(
        lambda _, inputs, __: seen.append(inputs[0].shape[1])
    )
    model(torch.empty(1, 128, frames, device=model.device))
    hook.remove()
    return seen


def count_operations(model: Passt, frames: int) -> dict[str, float]:
    """Billions of operations for one clip as the specification counts them, by kind.

    A linear layer counts a multiply-add, or the addition of a bias, as one; attention likewise its
    two products; the convolution counts multiplications and additions apart.
    """
    biases: Counter[str] = Counter()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda _, __, out: biases.update(linear=out.numel()))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, 128, frames, device="meta"))
    counts = {str(name): count for name, count in counter.get_flop_counts()["Global"].items()}
    assert counts.keys() == {"aten.convolution", "aten.addmm", "aten.bmm"}
    return {
        "linear": (counts["aten.addmm"] / 2 + biases["linear"]) / 1e9,
        "attention": counts["aten.bmm"] / 2 / 1e9,
        "convolution": counts["aten.convolution"] / 1e9,
    }


@pytest.mark.parametrize(
    ("variant", "parameters", "keys", "tokens", "operations"),
    [
        ("s10", 86_153_758, 159, 1190, "127.74"),
        ("s12", 86_139_934, 159, 822, "82.66"),
        ("s14", 86_129_950, 159, 641, "62.32"),
        ("s16", 86_122_270, 159, 498, "47.11"),
        ("l", 50_714_398, 99, 1190, "74.71"),
        ("20sec", 86_231_326, 159, 2390, "309.4"),
        ("hop160", 86_231_326, 159, 2390, "309.4"),
        ("30sec", 86_308_126, 159, 3590, "544.2"),
        ("hop100", 86_323_486, 159, 3830, "597.5"),
    ],
)
def test_variants_have_the_published_counts(
    variant: str, parameters: int, keys: int, tokens: int, operations: str
) -> None:
    model = on_meta(**VARIANTS[variant].sizes).eval()
    frames = model.config.frames
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert len(model.state_dict()) == keys
    assert tokens_seen(model, frames) == [tokens]
    counts = count_operations(model, frames)
    decimals = len(operations.partition(".")[2])
    assert f"{sum(counts.values()):.{decimals}f}" == operations
    if variant == "s10":
        rounded = {kind: round(count, 2) for kind, count in counts.items()}
        assert rounded == {"linear": 101.17, "attention": 26.10, "convolution": 0.47}


def test_keys_and_shapes_are_those_of_the_published_weights(shared: Path) -> None:
    lines = (shared / "spec" / "keys" / "passt_keys.txt").read_text().splitlines()
    ours = [f"{name} {tuple(value.shape)}" for name, value in on_meta().state_dict().items()]
    assert sorted(ours) == sorted(lines)


@pytest.mark.parametrize(
    ("sizes", "tokens"),
    [
        ({"patchout_time": 40, "patchout_frequency": 4}, 474),
        ({"patchout_tokens": 400}, 790),
        ({"stride": 16, "patchout_frequency": 2, "patchout_time": 20}, 254),
        ({"stride": 16, "patchout_time": 20, "patchout_frequency": 1}, 296),
    ],
)
def test_training_sees_the_published_number_of_tokens(sizes: dict, tokens: int) -> None:
    model = on_meta(depth=1, **sizes)
    assert tokens_seen(model.train(), 998) == [tokens]
    whole = on_meta(depth=1, stride=sizes.get("stride", 10))
    assert tokens_seen(model.eval(), 998) == tokens_seen(whole, 998)


def test_five_seconds_give_49_columns() -> None:
    assert tokens_seen(on_meta(depth=1).eval(), 500) == [12 * 49 + 2]


def test_the_tower_of_the_released_clap_gives_the_reference_embeddings(shared: Path) -> None:
    folder = shared / "official" / "full" / "Woosh-CLAP"
    manifest = json.loads((folder / "manifest.json").read_text())
    weights = fill({n: tuple(v[0]) for n, v in manifest.items() if n.startswith("audio_")})
    io = load_file(folder / "io.safetensors")
    root = "audio_frontend.model."
    model = on_meta(stride=16, frames=1000, scrambled_heads=True).eval()
    state = {n.removeprefix(root): t for n, t in weights.items() if n.startswith(root)}
    model.load_state_dict(state, strict=True, assign=True)
    segments = nn.functional.pad(io["audio"], (0, 96_000)).unflatten(1, (2, 160_000))
    with torch.no_grad():
        features = model(model.log_mel(segments.flatten(0, 1))).features.unflatten(0, (2, 2))
    head = nn.functional.linear(
        features.mean(dim=1), weights["audio_head.0.weight"], weights["audio_head.0.bias"]
    )
    embedding = nn.functional.normalize(head, dim=-1)
    torch.testing.assert_close(embedding, io["audio_embedding"], rtol=0, atol=1e-4)


def torch_layer(model: Passt, index: int) -> nn.TransformerEncoderLayer:
    """torch's own layer with the weights of a block."""
    width, heads = TOY["width"], TOY["heads"]
    layer = nn.TransformerEncoderLayer(
        width, heads, 4 * width, 0.0, "gelu", 1e-6, batch_first=True, norm_first=True
    )
    names = {
        "self_attn.in_proj_": "attn.qkv.",
        "self_attn.out_proj.": "attn.proj.",
        "linear1.": "mlp.fc1.",
        "linear2.": "mlp.fc2.",
        "norm1.": "norm1.",
        "norm2.": "norm2.",
    }
    state = model.blocks[index].state_dict()
    layer.load_state_dict(
        {
            theirs + part: state[ours + part]
            for theirs, ours in names.items()
            for part in ("weight", "bias")
        }
    )
    return layer.eval()


def test_the_network_equals_one_put_together_from_torch_layers() -> None:
    model, x = make_toy(), spectrogram()
    kernels = model.patch_embed.proj.weight.flatten(1)
    patches = x.unfold(1, PATCH_SIZE, 10).unfold(2, PATCH_SIZE, 10).flatten(3) @ kernels.T
    patches = patches + model.patch_embed.proj.bias  # (B, F, T, W)
    patches = patches + model.freq_new_pos_embed[0, :, :, 0].T[:, None]
    patches = patches + model.time_new_pos_embed[0, :, 0].T[None]
    first = [
        model.cls_token[0] + model.new_pos_embed[0, :1],
        model.dist_token[0] + model.new_pos_embed[0, 1:],
    ]
    tokens = torch.cat([torch.cat(first).expand(2, 2, -1), patches.flatten(1, 2)], dim=1)
    for index in range(TOY["depth"]):
        tokens = torch_layer(model, index)(tokens)
    features = (model.norm(tokens)[:, 0] + model.norm(tokens)[:, 1]) / 2
    output = model(x)
    assert isinstance(output, PasstOutput)
    torch.testing.assert_close(output.features, features, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.logits, model.head(features), rtol=1e-4, atol=1e-4)


def test_scrambling_needs_more_than_one_head() -> None:
    for heads, same in ((1, True), (2, False)):
        model, scrambled = (
            make_toy(heads=heads),
            Passt(**TOY | {"heads": heads}, scrambled_heads=True),
        )
        scrambled.load_state_dict(model.state_dict())
        outputs = [net(spectrogram()).features for net in (model, scrambled.eval())]
        assert torch.allclose(*outputs, atol=1e-5) == same


def test_clips_of_a_batch_do_not_meet() -> None:
    model, x = make_toy(), spectrogram(3)
    output = model(x)
    for index in range(3):
        alone = model(x[index : index + 1])
        torch.testing.assert_close(alone.logits[0], output.logits[index], rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_parameter_but_the_unused_head() -> None:
    model = make_toy(patchout_time=4, patchout_frequency=2, patchout_tokens=3).train()
    model(spectrogram(), generator()).logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        if name.startswith("head_dist"):
            assert not parameter.requires_grad
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


def test_evaluation_is_deterministic_and_training_is_not() -> None:
    model, x = make_toy(patchout_time=5), spectrogram()
    assert model(x).logits.equal(model(x).logits)
    assert model(x, generator(1)).logits.equal(model(x, generator(2)).logits)
    model.train()
    assert model(x, generator(1)).logits.equal(model(x, generator(1)).logits)
    assert not model(x, generator(1)).logits.equal(model(x, generator(2)).logits)
    assert not model(x).logits.equal(model(x).logits)


def test_without_a_generator_the_choice_follows_torch_s_own() -> None:
    model, x = make_toy(patchout_tokens=50).train(), spectrogram()
    torch.manual_seed(5)
    first = model(x).logits
    torch.manual_seed(5)
    assert model(x).logits.equal(first)


def test_without_patchout_training_equals_evaluation() -> None:
    model, x = make_toy(), spectrogram()
    assert model.train()(x).logits.equal(model.eval()(x).logits)


def test_structured_patchout_leaves_out_whole_columns_and_rows_in_order() -> None:
    model = make_toy(patchout_time=6, patchout_frequency=3).train()
    row, column = torch.arange(12.0)[:, None], torch.arange(20.0)[None, :]
    patches = (100 * row + column).expand(1, 16, 12, 20)
    kept = model.leave_out(patches, generator())[0, :, 0]
    rows, columns = (kept // 100).unique().tolist(), (kept % 100).unique().tolist()
    assert (len(rows), len(columns)) == (9, 14)
    assert kept.tolist() == [100 * r + c for r, c in itertools.product(rows, columns)]


def test_unstructured_patchout_leaves_out_single_patches() -> None:
    model = make_toy(patchout_tokens=100).train()
    patches = torch.arange(240.0).reshape(1, 1, 12, 20).expand(2, 16, 12, 20)
    kept = model.leave_out(patches, generator())
    assert kept.shape == (2, 140, 16)
    assert kept[0].equal(kept[1])
    assert (kept[0, :, 0].diff() > 0).all()
    assert len((kept[0, :, 0] // 20).unique()) == 12  # no row is missing


def test_every_patch_is_as_likely_to_stay() -> None:
    draw, counts = generator(), torch.zeros(10)
    for _ in range(2000):
        counts[keep_some(torch.arange(10), 0, 4, draw)] += 1
    assert (counts / 2000 - 0.6).abs().max() < 0.05


@pytest.mark.parametrize("name", ["patchout_time", "patchout_frequency", "patchout_tokens"])
def test_patchout_that_leaves_nothing_is_an_error(name: str) -> None:
    model = make_toy(**{name: 240}).train()
    with pytest.raises(ValueError, match="patchout of 240 leaves nothing"):
        model(spectrogram(), generator())


def test_patchout_makes_training_at_least_twice_as_fast() -> None:
    plain, x = Passt(depth=1).train(), spectrogram(1, 998)
    fast = Passt(depth=1, patchout_time=40, patchout_frequency=4).train()

    def seconds(model: Passt) -> float:
        start = time.process_time()  # what other processes do does not count
        model(x, generator()).logits.sum().backward()
        return time.process_time() - start

    least = [min(seconds(model) for _ in range(3)) for model in (plain, fast)]
    assert least[0] >= 2 * least[1]


def test_a_shorter_clip_takes_the_first_positions_in_evaluation() -> None:
    model, x = make_toy(), spectrogram(frames=108)  # 10 of 20 columns
    before = model(x).logits
    with torch.no_grad():
        model.time_new_pos_embed[..., 10:] += torch.randn(16, 1, 10)
    assert model(x).logits.equal(before)
    with torch.no_grad():
        model.time_new_pos_embed[..., :10] += torch.randn(16, 1, 10)
    assert not torch.allclose(model(x).logits, before)


def test_a_shorter_clip_takes_positions_from_anywhere_in_training() -> None:
    model, x = make_toy().train(), torch.zeros(1, 128, 108)
    with torch.no_grad():
        model.time_new_pos_embed.copy_(torch.arange(20.0))
        model.freq_new_pos_embed.zero_()
        model.patch_embed.proj.bias.zero_()
    draw, starts = generator(), Counter()
    for _ in range(300):
        time = model.embed_patches(x, draw)[0, 0, 0]
        assert time.diff().equal(torch.ones(9))  # contiguous
        starts[int(time[0])] += 1
    assert sorted(starts) == list(range(11))


def test_a_longer_clip_is_cut() -> None:
    model, x = make_toy(), spectrogram(frames=300)
    torch.testing.assert_close(model(x).logits, model(x[..., :206]).logits, rtol=1e-5, atol=1e-5)


def test_stride_12_has_a_position_more_than_columns() -> None:
    model = on_meta(stride=12)
    assert model.time_new_pos_embed.shape[3] == 83
    assert model.patch_embed(torch.empty(1, 1, 128, 998, device="meta")).shape == (1, 768, 10, 82)


@pytest.mark.parametrize("shape", [(2, 64, 208), (2, 128, 15), (128, 208), (2, 1, 128, 208)])
def test_a_spectrogram_of_another_shape_is_refused(shape: tuple) -> None:
    with pytest.raises(ValueError, match=r"log_mel must be \(batch, 128, frames\)"):
        make_toy()(torch.zeros(shape))


@pytest.mark.parametrize(
    "sizes", [{"stride": 0}, {"stride": 17}, {"frames": 15}, {"heads": 3}, {"patchout_time": -1}]
)
def test_sizes_that_do_not_fit_are_refused(sizes: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(sizes)).partition("_")[0]):
        Passt(**TOY | sizes)


def test_probabilities_of_audio() -> None:
    model = make_toy()
    audio = torch.randn(2, 32_000, generator=generator()) * 0.1
    expected = model(model.log_mel(audio)).logits.sigmoid()
    probabilities = model.probabilities(audio)
    assert probabilities.equal(expected)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    with pytest.raises(ValueError, match="16 frames or more"):
        model.probabilities(audio[:, :3000])


def test_half_precision_stays_close() -> None:
    model, x = make_toy(), spectrogram()
    expected = model(x).features
    half = model.to(torch.bfloat16)(x).features
    assert half.dtype == torch.bfloat16
    assert (half.float() - expected).norm() < 0.05 * expected.norm()


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


@pytest.mark.gpu
def test_a_generator_chooses_the_same_patches_on_an_accelerator() -> None:
    device = torch.accelerator.current_accelerator()
    model, x = make_toy(patchout_time=5, patchout_tokens=30).train(), spectrogram()
    here = model(x, generator(7)).logits
    there = model.to(device)(x.to(device), generator(7)).logits.cpu()
    torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-3)
