"""The latent cache, and batches that follow from their number alone."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from woosh.latents import (
    LatentBatches,
    LatentCache,
    LatentClip,
    fit_length,
    load_latents,
    save_latents,
)

SILENCE = torch.full((4, 10), -9.0)
WEIGHT = torch.tensor([2.0, 1.0, 0.7, 0.3])


def clip(frames: int, label: str = "", value: float = 1.0, name: str = "a") -> LatentClip:
    latents = torch.full((4, frames), value)
    return LatentClip(latents, (f"{label} sound",), name, label, name, continuous=frames >= 400)


def ramp(frames: int, continuous: bool) -> LatentClip:
    """A clip whose latents are their own places."""
    places = torch.arange(frames, dtype=torch.float32).expand(4, -1)
    return dataclasses.replace(clip(frames), latents=places, continuous=continuous)


def batches(clips: list[LatentClip], **changes: object) -> LatentBatches:
    settings = {
        "lengths": (100, 500),
        "chances": (1.0, 1.0),
        "frames_per_batch": 1000,
        "favoured": ("dog",),
        "favoured_share": 0.5,
        "short_share": 0.1,
        "caption_dropout": 0.2,
        "latent_rate": 100.0,
        "seed": 0,
        **changes,
    }
    return LatentBatches(clips, SILENCE, **settings)  # type: ignore[arg-type]


@pytest.fixture
def clips() -> list[LatentClip]:
    return [clip(500, "dog", 1.0, "dog"), clip(500, "", 2.0, "long"), clip(60, "", 3.0, "short")]


def test_save_and_load(tmp_path: Path, clips: list[LatentClip]) -> None:
    save_latents(tmp_path, LatentCache(clips, SILENCE, WEIGHT))
    loaded, silence, weight = load_latents(tmp_path)
    assert torch.equal(silence.float(), SILENCE) and torch.equal(weight, WEIGHT)
    for before, after in zip(clips, loaded, strict=True):
        assert torch.equal(before.latents, after.latents.float())
        assert dataclasses.replace(before, latents=SILENCE) == dataclasses.replace(
            after, latents=SILENCE
        )


def test_a_missing_or_torn_cache_is_an_error(tmp_path: Path, clips: list[LatentClip]) -> None:
    with pytest.raises(FileNotFoundError, match="encode_latents"):
        load_latents(tmp_path)
    save_latents(tmp_path, LatentCache(clips, SILENCE, WEIGHT))
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(ValueError, match="encode again"):
        load_latents(tmp_path)


@pytest.mark.parametrize("count", [10, 300, 599, 600, 800])
@pytest.mark.parametrize("continuous", [False, True])
def test_fit_length_cuts_repeats_or_ends_in_silence(count: int, continuous: bool) -> None:
    fitted = fit_length(ramp(count, continuous), SILENCE, 600, 100.0, np.random.default_rng(0))
    assert fitted.shape == (4, 600)
    quiet = (fitted == -9.0).all(dim=0)
    if count >= 600 or continuous:  # cut or repeated: no silence at all
        assert not quiet.any()
        steps = fitted[0].diff()
        assert set(steps.tolist()) <= {1.0, float(1 - count)}
    else:  # the whole sound, soon, then silence
        assert torch.equal(fitted[0][~quiet], torch.arange(count, dtype=torch.float32))
        assert int((~quiet).int().argmax()) <= 20


def test_a_continuous_sound_as_long_as_asked_begins_anywhere_half_of_the_times() -> None:
    generator = np.random.default_rng(0)
    steady, event = ramp(500, continuous=True), ramp(500, continuous=False)
    fitted = [fit_length(steady, SILENCE, 500, 100.0, generator) for _ in range(200)]
    assert all(sorted(part[0].tolist()) == list(range(500)) for part in fitted)
    assert 70 < sum(part[0, 0].item() == 0.0 for part in fitted) < 130
    cut = fit_length(steady, SILENCE, 300, 100.0, generator)
    assert (cut[0].diff() == 1.0).all()
    for _ in range(20):
        assert torch.equal(fit_length(event, SILENCE, 500, 100.0, generator), event.latents)


def test_a_batch_follows_from_seed_and_number(clips: list[LatentClip]) -> None:
    source = batches(clips)
    first, again = source.batch(3), batches(clips).batch(3)
    assert torch.equal(first.latents, again.latents) and first.captions == again.captions
    others = [source.batch(number) for number in range(8)]
    assert {batch.latents.shape for batch in others} == {(10, 4, 100), (2, 4, 500)}


def test_shares(clips: list[LatentClip]) -> None:
    source = batches(clips, lengths=(100,), chances=(1.0,), short_share=0.0)
    captions = [caption for number in range(200) for caption in source.batch(number).captions]
    dropped = captions.count("") / len(captions)
    dogs = captions.count("dog sound") / len([text for text in captions if text])
    assert 0.15 < dropped < 0.25
    assert 0.6 < dogs < 0.74  # half the draws, and a third of the others


def test_short_sounds_do_not_fill_long_batches(clips: list[LatentClip]) -> None:
    source = batches(clips, lengths=(500,), chances=(1.0,), short_share=0.0)
    assert all((source.batch(number).latents > 0).all() for number in range(20))
    source = batches(clips, lengths=(500,), chances=(1.0,), short_share=1.0, favoured_share=0.0)
    assert any((source.batch(number).latents == -9.0).any() for number in range(20))


def test_impossible_settings_are_refused(clips: list[LatentClip]) -> None:
    with pytest.raises(ValueError, match="favoured labels .'cat'"):
        batches(clips, favoured=("cat",))
    with pytest.raises(ValueError, match="no clip fills half of .2000"):
        batches(clips, lengths=(2000,), chances=(1.0,))
