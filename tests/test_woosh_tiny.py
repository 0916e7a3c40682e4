"""The built-in model itself: lengths are filled with sound, a seed decides, and the weights fit the wheel."""

import pytest
import torch

from benchmarks.steady_sounds import PROMPTS, tenths
from woosh.catalogue import BUILT_IN, describe_model
from woosh.sampling import Sampler, load_sampler

FOLDER = BUILT_IN / "woosh-tiny"


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return load_sampler(FOLDER, torch.device("cpu"), torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 5.0, 10.0])
@pytest.mark.parametrize(("prompt", "seed"), [(name, 1000 + i) for i, name in enumerate(PROMPTS)])
def test_a_continuous_sound_fills_its_length(
    sampler: Sampler, prompt: str, seed: int, seconds: float
) -> None:
    levels = tenths(sampler, prompt, seconds, seed)
    assert levels.shape == (10,) and levels.isfinite().all()
    assert (levels > -25).all(), levels  # no part is silent, and the last one neither


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 5.0, 10.0])
def test_a_sound_has_the_length_and_level_asked_for(sampler: Sampler, seconds: float) -> None:
    audio = sampler("rain falling", seconds=seconds, generator=torch.Generator().manual_seed(3))
    assert audio.shape == (1, 1, round(seconds * 48_000))
    assert audio.isfinite().all() and 0.01 < audio.abs().max() <= 1


def test_weights_and_tokenizer_fit_into_24_megabytes() -> None:
    info = describe_model(FOLDER)
    assert info.size <= 24_000_000
    assert info.longest >= 10 and info.licence == "cc-by-4.0"
