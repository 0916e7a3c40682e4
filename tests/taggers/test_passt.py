"""PaSST: published sizes and names, its network against torch's own, patchout, positions and loading."""

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tests.official import fill
from woosh.taggers.passt import PATCH_SIZE, Passt, PasstOutput, keep_some
from woosh.taggers.passt_weights import VARIANTS

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


def test_patchout_makes_training_at_least_twice_as_cheap() -> None:
    def operations(model: Passt) -> int:
        with FlopCounterMode(display=False) as counter:
            model.train()(torch.empty(1, 128, 998, device="meta")).logits.sum().backward()
        return counter.get_total_flops()

    plain, spared = on_meta(depth=2), on_meta(depth=2, patchout_time=40, patchout_frequency=4)
    assert operations(plain) >= 2 * operations(spared)


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


@pytest.mark.gpu
def test_a_generator_chooses_the_same_patches_on_an_accelerator() -> None:
    device = torch.accelerator.current_accelerator()
    model, x = make_toy(patchout_time=5, patchout_tokens=30).train(), spectrogram()
    here = model(x, generator(7)).logits
    there = model.to(device)(x.to(device), generator(7)).logits.cpu()
    torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-3)
