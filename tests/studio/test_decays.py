"""Sounds that die away: what goes on from them dies further, and what repeats or is steady is not taken for one."""

import numpy as np
import pytest

from tests.sounds import sound
from woosh import procedural
from woosh.catalogue import FEW_STEP_MODEL, find_model
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.studio.decays import Decay, decay_of, dying, kept_below, moving_levels
from woosh.studio.extend import extend

RATE = 48_000
TIMES = np.arange(RATE) / RATE
NOISE = np.random.default_rng(0).standard_normal(RATE)


def decaying(slope: float, kind: str = "tone") -> np.ndarray:
    """A second (1, S) that loses so many dB in it."""
    wave = np.sin(2 * np.pi * 440 * TIMES) if kind == "tone" else 0.3 * NOISE
    return (0.5 * wave * 10 ** (slope * TIMES / 20))[None].astype(np.float32)


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return load_sampler(find_model(FEW_STEP_MODEL))


@pytest.mark.parametrize("slope", [-12.0, -30.0, -80.0])
def test_the_line_of_an_exponential_decay_is_found(slope: float) -> None:
    """A sine of amplitude a has the power a^2 / 2."""
    decay = decay_of(decaying(slope), RATE)
    assert decay is not None
    assert decay.slope == pytest.approx(slope, rel=0.05)
    assert decay.level == pytest.approx(20 * np.log10(0.5) - 3.01 + slope, abs=2)


def test_what_comes_to_rest_has_a_flat_line() -> None:
    """A room after a shot goes on as the room."""
    shot = decaying(-120.0, "noise") + 0.003 * NOISE[None].astype(np.float32)
    decay = decay_of(shot, RATE)
    assert decay is not None and decay.slope > -6
    assert decay.level == pytest.approx(20 * np.log10(0.003), abs=2)


def test_what_is_steady_or_repeats_does_not_die() -> None:
    """Rain, a hum, strokes one after the other, a sound that ends at its loudest, and one that is over."""
    rain = procedural.generate(3, "rain").audio[None, : 3 * RATE]
    hum = (0.3 * np.sin(2 * np.pi * 100 * TIMES))[None].astype(np.float32)
    strokes = np.tile(decaying(-40.0), 3)
    over = np.concatenate([decaying(-60.0), 0 * hum], axis=1)
    for one in (rain, hum, strokes, decaying(-40.0)[:, ::-1], hum[:, :10], 0 * hum, over):
        assert decay_of(one, RATE) is None


def test_a_mirrored_decay_is_made_to_fall_on() -> None:
    """A tone that lost 30 dB in a second loses 30 dB in the next."""
    own, decay = decaying(-30.0), Decay(-39.0, -30.0)
    further = dying(own[:, ::-1], decay, RATE)
    falls = moving_levels(further, RATE)[[10, 90]]
    assert falls[0] - falls[1] == pytest.approx(0.8 * 30, abs=0.5)
    assert moving_levels(further, RATE)[10] == pytest.approx(-39 - 3, abs=1)


def test_what_goes_on_is_held_below_the_line_without_a_step() -> None:
    """However loud it was made; what is below the line already keeps its bits."""
    decay = Decay(-20.0, -30.0)
    loud = kept_below((0.3 * NOISE)[None].astype(np.float32), decay, RATE)
    line = decay.level + decay.slope * 0.01 * (np.arange(100) + 0.5)
    assert (moving_levels(loud, RATE) - line)[10:].max() < 2
    assert loud[0, 0] == np.float32(0.3 * NOISE[0])
    faint = decaying(-60.0) * np.float32(0.01)
    assert np.array_equal(kept_below(faint, decay, RATE), faint)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("kind", ["tone", "noise"])
def test_a_longer_sound_does_not_rise_from_a_decay(
    sampler: Sampler, kind: str, before: bool
) -> None:
    """It dies on: bells and shots came up to 12 dB louder than their ends. What swells begins as it swells."""
    own = decaying(-25.0, kind)
    own = own[:, ::-1].copy() if before else own
    made = extend(sampler, own, RATE, Request("a bell", seconds=1.8, seed=2), before)
    levels = moving_levels(made[:, ::-1] if before else made, RATE)
    line = 20 * np.log10(0.5 if kind == "tone" else 0.15) - 3.01 * (kind == "tone")
    line = line - 25 * 0.01 * (np.arange(len(levels)) + 0.5)
    assert (levels - line)[100:].max() < 4
    assert levels[-10:].max() < levels[90:100].mean() - 12
    assert made.shape == (1, round(1.8 * RATE))


def test_every_length_and_rate_is_measured() -> None:
    """Of two channels, and down to a sample: a line is finite and never rises."""
    for samples in (1, 50, 2_400, 14_400, 24_000):
        for rate in (8_000, 44_100):
            decay = decay_of(np.repeat(sound(2)[:, :samples], 2, axis=0), rate)
            assert decay is None or (np.isfinite(decay.level) and decay.slope <= 0)
