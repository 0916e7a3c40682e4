"""Rendered scenes: pictures and sound agree, and the record says what happens in both."""

import numpy as np
import pytest

from woosh.scenes import COURSE_FAMILIES, EVENT_FAMILIES, FAMILIES, FRAME_RATE, generate_scene

RATE = 48_000


def levels(audio: np.ndarray, seconds: float = 0.01) -> np.ndarray:
    """Level in decibels of every stretch of some length."""
    size = round(seconds * RATE)
    power = (audio[: len(audio) // size * size].reshape(-1, size) ** 2).mean(axis=1)
    return 10 * np.log10(power + 1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_record_and_shapes(family: str) -> None:
    clip = generate_scene(5, family, 4.0, 48)
    assert clip.frames.shape == (96, 48, 48, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.audio.shape == (4 * RATE,)
    assert 0.3 < np.abs(clip.audio).max() <= 1
    assert clip.family == family
    assert len(clip.captions) >= 3
    assert all(str(value) in clip.captions[0] for value in clip.parameters.values())
    assert list(clip.events) == sorted(clip.events)
    assert all(0 <= event < 4 for event in clip.events)
    assert (clip.intensity is None) == (family in EVENT_FAMILIES)
    if clip.intensity is not None:
        assert clip.intensity.shape == (96,)
        assert 0 <= clip.intensity.min() < clip.intensity.max() <= 1


def test_same_seed_same_clip_and_other_seed_another() -> None:
    first, again, other = (generate_scene(seed, "ball", 2.0, 32) for seed in (1, 1, 2))
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.audio, again.audio)
    assert first.captions == again.captions
    silent = generate_scene(1, "ball", 2.0, 32, with_audio=False)
    assert np.array_equal(first.frames, silent.frames)
    assert silent.events == first.events
    assert len(silent.audio) == 0
    assert not np.array_equal(first.frames, other.frames)
    assert {generate_scene(seed, None, 1.0, 8).family for seed in range(60)} == set(FAMILIES)


@pytest.mark.parametrize("family", EVENT_FAMILIES)
def test_sound_begins_at_the_events(family: str) -> None:
    early = late = 0.0
    for seed in range(6):
        clip = generate_scene(seed, family, 6.0, 16)
        rate = len(clip.events) / clip.seconds
        assert 1 / 6 <= rate <= 2.4
        assert np.diff(clip.events).min(initial=9) >= 0.35
        loud = levels(clip.audio)
        for event in clip.events:
            place = round(event / 0.01)
            early += loud[max(0, place - 4) : max(1, place - 1)].max()
            late += loud[place - 1 : place + 5].max()
        # The first sound of a clip comes out of near silence.
        first = round(clip.events[0] / 0.01)
        assert loud[first - 1 : first + 6].max() > loud[: first - 1].max(initial=-90) + 10
    assert late - early > 0


@pytest.mark.parametrize("family", EVENT_FAMILIES)
def test_picture_moves_with_the_events(family: str) -> None:
    """Hidden or shown: taking the events away changes the picture around them."""
    clip = generate_scene(7, family, 4.0, 64)
    motion = np.abs(np.diff(clip.frames.astype(int), axis=0)).mean(axis=(1, 2, 3))
    event = round(clip.events[0] * FRAME_RATE)
    assert motion[max(0, event - 3) : event + 3].max() > 0


@pytest.mark.parametrize("family", COURSE_FAMILIES)
def test_loudness_follows_the_intensity(family: str) -> None:
    for seed in range(4):
        clip = generate_scene(seed, family, 8.0, 16)
        assert clip.intensity is not None
        loud = levels(clip.audio, 1 / FRAME_RATE)[: len(clip.intensity)]
        smooth = np.convolve(loud, np.ones(9) / 9, "valid")
        intensity = np.convolve(clip.intensity, np.ones(9) / 9, "valid")
        assert np.corrcoef(smooth, intensity)[0, 1] > 0.85


def test_scenes_are_irregular_and_distinct() -> None:
    gaps = np.concatenate([np.diff(generate_scene(s, "hammer", 20.0, 8).events) for s in range(5)])
    assert gaps.std() > 0.3 * gaps.mean()


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="unknown family 'cat'"):
        generate_scene(0, "cat")
    with pytest.raises(ValueError, match="seconds must be in 1 to 60"):
        generate_scene(0, "ball", 0.5)
    with pytest.raises(ValueError, match="size at least 8"):
        generate_scene(0, "ball", 2.0, 4)
