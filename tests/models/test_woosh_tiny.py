"""The built-in models themselves: lengths are filled with sound, a seed decides, and the weights fit the wheel."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from benchmarks.steady_sounds import PROMPTS, tenths
from woosh.audio.spectra import magnitudes, mel_filters
from woosh.catalogue import BUILT_IN, describe_model
from woosh.generation.guidance import Window, windows_of
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler

FOLDER = BUILT_IN / "woosh-tiny"
FAST = BUILT_IN / "woosh-tiny-fast"
SMALL = BUILT_IN / "woosh-small"


@pytest.fixture(scope="module", params=[SMALL, FAST], ids=lambda folder: folder.name)
def sampler(request: pytest.FixtureRequest) -> Sampler:
    return load_sampler(request.param, torch.device("cpu"), torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prompt", "seed", "seconds"),
    [(name, 1000 + i, (10.0, 0.5)[i % 2]) for i, name in enumerate(PROMPTS)],
)
def test_a_continuous_sound_fills_its_length(
    sampler: Sampler, prompt: str, seed: int, seconds: float
) -> None:
    """benchmarks/steady_sounds.py asks all of them for both lengths."""
    levels = tenths(sampler, prompt, seconds, seed)
    assert levels.shape == (10,) and levels.isfinite().all()
    if prompt == "sea waves":  # a wave runs out, for a second in ten, before the next one comes
        levels = levels.unflatten(0, (5, 2)).amax(dim=1)
    assert (levels > -25).all(), levels  # no part is silent, and the last one neither


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 10.0])
def test_a_sound_has_the_length_and_level_asked_for(sampler: Sampler, seconds: float) -> None:
    audio = sampler(Request("rain falling", seconds=seconds, seed=3))
    assert audio.shape == (1, 1, round(seconds * 48_000))
    assert audio.isfinite().all() and 0.01 < audio.abs().max() <= 1


def test_weights_and_tokenizer_fit_into_17_megabytes() -> None:
    info = describe_model(FOLDER)
    assert info.size <= 17_000_000
    assert info.longest >= 10 and info.licence == "cc-by-4.0"


def test_the_fast_model_adds_its_transformer_alone() -> None:
    info = describe_model(FAST)
    assert info.size <= 5_000_000 and info.few_step and info.parts_of == FOLDER.name
    assert sorted(path.name for path in FAST.iterdir() if path.is_dir()) == ["transformer"]
    assert info.longest == describe_model(FOLDER).longest and info.licence == "cc-by-4.0"


def largest_steps(values: Tensor, moments: list[int]) -> Tensor:
    """How much the mean (C,) of half a second differs before and after each moment, in frames of 10 ms."""
    means = [
        (values[..., m : m + 50].mean(dim=-1) - values[..., m - 50 : m].mean(dim=-1)).abs().mean()
        for m in moments
    ]
    return torch.stack(means)


def assert_no_seam(audio: Tensor, windows: Sequence[Window]) -> tuple[list[float], float]:
    """A sound (S,) steps no more where windows meet than elsewhere.

    Returns how much of it, in level and spectrum, and how much louder it is where two windows are, in decibels.
    """
    ratios = []
    assert len(windows) > 4
    joins = [window.start for window in windows[1:]] + [window.end for window in windows[:-1]]
    power = audio.reshape(-1, 480).square().mean(dim=1)
    moments = range(50, len(power) - 50, 10)
    away = [m for m in moments if min(abs(m - join) for join in joins) > 60]
    level = 10 * (power + 1e-9).log10()
    bands = mel_filters(48_000, 1024, 64) @ magnitudes(audio, 1024, 480)
    for values in (level, 20 * bands.clamp_min(1e-5).log10()):
        at_joins, elsewhere = largest_steps(values, joins), largest_steps(values, away)
        assert at_joins.max() <= 1.3 * elsewhere.max()
        ratios.append(float(at_joins.mean() / elsewhere.mean()))
    return ratios, louder_between(audio, windows)


def louder_between(audio: Tensor, windows: Sequence[Window]) -> float:
    """How much louder a sound (S,) is where two windows are, in hundredths of a second, in decibels."""
    level = 10 * (audio.reshape(-1, 480).square().mean(dim=1) + 1e-9).log10()
    between = torch.zeros(len(level), dtype=torch.bool)
    for first, second in zip(windows, windows[1:], strict=False):
        between[second.start : first.end] = True
    return float(level[between].mean() - level[~between].mean())


@pytest.mark.slow
def test_long_sounds_have_no_seam() -> None:
    sampler = load_sampler(FAST)
    ratios: list[float] = []
    for prompt in ("rain falling", "a strong wind howling"):
        audio = sampler(Request(prompt, seconds=40.0, seed=1))[0, 0]
        steps, louder = assert_no_seam(audio, windows_of(4_001, sampler.window_frames))
        assert abs(louder) < 1
        ratios += steps
    assert sum(ratios) / len(ratios) <= 1.15
