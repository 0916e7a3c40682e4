"""The built-in models themselves: lengths are filled with sound, a seed decides, and the weights fit the wheel."""

import pytest
import torch

from benchmarks.steady_sounds import PROMPTS, tenths
from woosh.catalogue import BUILT_IN, describe_model
from woosh.sampling import Sampler, load_sampler

FOLDER = BUILT_IN / "woosh-tiny"
FAST = BUILT_IN / "woosh-tiny-fast"


@pytest.fixture(scope="module", params=[FOLDER, FAST], ids=lambda folder: folder.name)
def sampler(request: pytest.FixtureRequest) -> Sampler:
    return load_sampler(request.param, torch.device("cpu"), torch.float32)


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


def test_the_fast_model_adds_its_transformer_alone() -> None:
    info = describe_model(FAST)
    assert info.size <= 10_000_000 and info.few_step and info.parts_of == FOLDER.name
    assert sorted(path.name for path in FAST.iterdir() if path.is_dir()) == ["transformer"]
    assert info.longest == describe_model(FOLDER).longest and info.licence == "cc-by-4.0"
