"""DeSync: its parts against independent implementations, the protocol, strict loading."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import ASTConfig, ASTModel

from tests.toys import randomise
from tests.videos import write_video
from woosh.evaluation.desync import (
    COMPARED,
    MEL_DEVIATION,
    MEL_FRAMES,
    MEL_MEAN,
    Comparison,
    ComparisonBlock,
    DeSync,
    SpectrogramTransformer,
    load_desync,
    segment_spectrograms,
)
from woosh.video import open_video
from woosh.video.synchformer import PUBLISHED, Synchformer

WIDTH = 24


@pytest.fixture(scope="module")
def toy() -> DeSync:
    visual = randomise(Synchformer(width=WIDTH, depth=1, heads=2, image_size=32), 1)
    comparison = randomise(Comparison(WIDTH, 1, 2, 1, 2), 2)
    return DeSync(visual, comparison).eval()


def test_the_tower_is_the_audio_spectrogram_transformer() -> None:
    config = ASTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=4 * WIDTH,
        max_length=MEL_FRAMES,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    theirs, ours = ASTModel(config).eval(), SpectrogramTransformer(WIDTH, 2, 2).eval()
    randomise(theirs, 3)
    renamed = {
        "layers.": "encoder.layer.",
        "attention.q_proj": "attention.attention.query",
        "attention.k_proj": "attention.attention.key",
        "attention.v_proj": "attention.attention.value",
        "attention.o_proj": "attention.output.dense",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }
    tensors = {}
    for name, value in theirs.state_dict().items():
        for old, new in renamed.items():
            name = name.replace(old, new)
        tensors[name] = value
    ours.load_state_dict(tensors, strict=True)
    mel = torch.randn(3, 128, MEL_FRAMES, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = theirs(mel.transpose(1, 2)).last_hidden_state
        torch.testing.assert_close(ours(mel), expected, rtol=1e-4, atol=1e-4)


def test_a_block_that_compares_is_a_pre_norm_encoder_layer() -> None:
    theirs = nn.TransformerEncoderLayer(
        WIDTH, 2, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
    ).eval()
    randomise(theirs, 4)
    ours = ComparisonBlock(WIDTH, 2)
    state = theirs.state_dict()
    parts = zip(("query", "key", "value"), state["self_attn.in_proj_weight"].chunk(3), strict=True)
    biases = state["self_attn.in_proj_bias"].chunk(3)
    tensors = {
        **{f"attn.{name}.weight": value for name, value in parts},
        **{
            f"attn.{name}.bias": value
            for name, value in zip(("query", "key", "value"), biases, strict=True)
        },
    }
    for old, new in {
        "self_attn.out_proj": "attn.proj",
        "norm1": "ln1",
        "norm2": "ln2",
        "linear1": "mlp.0",
        "linear2": "mlp.2",
    }.items():
        for kind in ("weight", "bias"):
            tensors[f"{new}.{kind}"] = state[f"{old}.{kind}"]
    ours.load_state_dict(tensors, strict=True)
    x = torch.randn(2, 9, WIDTH, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


def test_spectrograms_of_segments() -> None:
    """A tone lies in the right band; the segments are those of the sound; silence is the floor."""
    time = torch.arange(76_800) / 16_000
    mel = segment_spectrograms(torch.stack([torch.sin(6000 * torch.pi * time), 0 * time]))
    assert mel.shape == (2, COMPARED, 128, MEL_FRAMES)
    centres = torch.linspace(0, 2595 * float(np.log10(1 + 8000 / 700)), 130)[1:-1]
    hertz = 700 * (10 ** (centres / 2595) - 1)
    assert hertz[mel[0, 3, :, 5:60].mean(dim=1).argmax()] == pytest.approx(3000, rel=0.03)
    floor = (np.log(1e-6) - MEL_MEAN) / MEL_DEVIATION
    assert mel[1, :, :, :65].allclose(torch.tensor(floor).float())
    # .64 s are 65 frames; the 66th is zero before it is normalised.
    assert mel[:, :, :, 65].allclose(torch.tensor(-MEL_MEAN / MEL_DEVIATION))


def test_only_what_is_compared_counts(toy: DeSync, tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "clip.mp4", [Fraction(k, 25) for k in range(250)]))
    sound = np.random.default_rng(0).standard_normal(480_000).astype(np.float32) * 0.1
    score = toy.measure(video, sound, 48_000)
    assert 0 <= score <= 2
    middle = sound.copy()
    middle[240_000:241_000] = 0  # between the first 4.8 s and the last
    assert toy.measure(video, middle, 48_000) == score
    offsets = [toy.offset(torch.zeros(120, 3, 32, 32, dtype=torch.uint8), torch.zeros(76_800))]
    assert -2 <= offsets[0] <= 2


def test_short_clips_are_refused(toy: DeSync, tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "clip.mp4", [Fraction(k, 25) for k in range(130)]))
    assert 0 <= toy.measure(video, np.zeros(48_000 * 5, dtype=np.float32), 48_000) <= 2
    with pytest.raises(ValueError, match="needs 4.8 s of picture and sound, not 4"):
        toy.measure(video, np.zeros(48_000 * 4, dtype=np.float32), 48_000)


def test_gradients_reach_every_parameter_that_hears() -> None:
    comparison = randomise(Comparison(WIDTH, 1, 2, 1, 2), 2).train()
    seen = torch.randn(1, COMPARED, 8, WIDTH)
    comparison(seen, torch.randn(1, COMPARED, 128, MEL_FRAMES)).square().sum().backward()
    missing = [
        name
        for name, value in comparison.named_parameters()
        if value.grad is None or value.grad.abs().max() == 0
    ]
    assert missing == []


@pytest.mark.slow
def test_strict_loading_at_full_size(tmp_path: Path) -> None:
    tensors = {
        **{PUBLISHED + name: value for name, value in Synchformer().state_dict().items()},
        **Comparison().state_dict(),
    }
    path = tmp_path / "synchformer_state_dict.pth"
    torch.save(tensors, path)
    model = load_desync(path)
    assert sum(p.numel() for p in model.comparison.parameters()) == 115_019_541
    del tensors["transformer.off_head.bias"]
    torch.save(tensors, path)
    with pytest.raises(ValueError, match=r"transformer\.off_head\.bias is missing"):
        load_desync(path)


def test_the_visual_part_alone_is_refused(toy: DeSync, tmp_path: Path) -> None:
    full = {
        PUBLISHED + name: torch.zeros(value.shape)
        for name, value in toy.visual.state_dict().items()
    }
    save_file(full, tmp_path / "visual.safetensors")
    with pytest.raises(ValueError, match="is missing"):
        load_desync(tmp_path / "visual.safetensors")
