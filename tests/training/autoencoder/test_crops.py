"""Crops: their place, their variation, and batches that follow from their number alone."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from woosh.data.augmentation import crop
from woosh.data.clips import Clip
from woosh.data.shards import Sample, write_shard
from woosh.training.autoencoder.crops import CropAugmentation, CropBatches, streamed_crops
from woosh.training.cropping import CropSettings

PLAIN = CropAugmentation(
    quietest_peak=0.25,
    polarity_share=0.0,
    speed=0.2,
    speed_share=0.0,
    mixed_share=0.0,
    response_share=0.0,
)


def noise(seed: int, samples: int = 9000, channels: int | None = None) -> np.ndarray:
    shape = samples if channels is None else (channels, samples)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def batches(clips: list[Clip], samples: int = 1000, size: int = 4, **changes: float) -> CropBatches:
    augmentation = dataclasses.replace(PLAIN, **changes)
    settings = CropSettings(samples, size, augmentation, 5, [noise(9, 40)])
    return CropBatches(clips, np.ones(len(clips)), settings)


@given(length=st.integers(1, 3000), samples=st.integers(1, 2000), seed=st.integers(0, 10))
def test_crops_have_the_asked_length_and_hold_the_sound(
    length: int, samples: int, seed: int
) -> None:
    audio = np.arange(1, length + 1, dtype=np.float32)
    piece = crop(audio, samples, np.random.default_rng(seed))
    assert piece.shape == (samples,)
    if (piece == 0).any() or length >= samples:  # a stretch, or the whole in zeros
        inside = piece[piece > 0]
        assert len(inside) == min(length, samples)
        assert np.array_equal(np.diff(inside), np.ones(len(inside) - 1))
    else:  # the whole between its mirror images
        assert set(piece) == set(audio)
        assert np.array_equal(np.abs(np.diff(piece)), np.ones(samples - 1))


def test_short_sounds_are_mirrored_half_of_the_times_and_ends_are_frequent() -> None:
    draws = [crop(np.ones(100), 300, np.random.default_rng(seed)) for seed in range(400)]
    assert 160 < sum(draw.min() == 1 for draw in draws) < 240
    starts = [crop(np.arange(8000), 1600, np.random.default_rng(seed))[0] for seed in range(400)]
    assert min(starts) == 0 and max(starts) == 6400
    assert all(5 < starts.count(end) < 30 for end in (0, 6400))  # 200 of 6,801 places each


def test_silent_stretches_are_drawn_again() -> None:
    audio = np.zeros(48_000, dtype=np.float32)
    audio[:12_000] = 0.5
    loud = [
        np.abs(crop(audio, 4800, np.random.default_rng(seed), tries=30)).max() > 0
        for seed in range(50)
    ]
    assert all(loud)


def test_a_batch_follows_from_seed_and_number() -> None:
    clips = [Clip(noise(i), ("a",), str(i)) for i in range(3)]
    source = batches(clips)
    first = source.batch(9)
    assert first.shape == (4, 1, 1000) and first.dtype == torch.float32
    assert torch.equal(first, batches(clips).batch(9))
    assert not torch.equal(first, source.batch(8))
    other = CropBatches(clips, np.ones(3), CropSettings(1000, 4, PLAIN, 6))
    assert not torch.equal(first, other.batch(9))
    peaks = torch.cat([source.batch(i).abs().amax(dim=(1, 2)) for i in range(12)])
    assert 0.24 < peaks.min() <= peaks.max() < 1.01


def test_chances_decide_who_is_drawn() -> None:
    rising = Clip(np.linspace(0.1, 1, 2000, dtype=np.float32), ("a",), "rising")
    flat = Clip(np.full(2000, 1.1, dtype=np.float32), ("a",), "flat")
    source = CropBatches([rising, flat], np.array([1.0, 0.0]), CropSettings(500, 40, PLAIN, 0))
    assert all(np.ptp(audio.numpy()) > 0.01 for audio in source.batch(0))


def test_every_variation_happens_in_its_share() -> None:
    seconds = np.arange(48_000) / 48_000
    tone = Clip(np.sin(2 * np.pi * 1000 * seconds).astype(np.float32) + 0.2, ("a",), "tone")
    plain = batches([tone], 4800, 20).batch(0)[:, 0]
    assert (plain.mean(dim=1) > 0).all()
    turned = batches([tone], 4800, 200, polarity_share=0.5).batch(0)[:, 0]
    assert 70 < int((turned.mean(dim=1) < 0).sum()) < 130

    def loudest(audio: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft(audio - audio.mean(dim=1, keepdim=True)).abs()
        return spectrum.argmax(dim=1) * 10.0  # Hz

    assert (loudest(plain) == 1000).all()
    faster = loudest(batches([tone], 4800, 60, speed_share=1.0).batch(0)[:, 0])
    assert faster.min() < 900 and faster.max() > 1100
    assert faster.min() >= 1000 / 1.2 - 10 and faster.max() <= 1200 + 10
    dull = batches([Clip(noise(1), ("a",), "noise")], 4800, 4, response_share=1.0)
    assert not torch.allclose(dull.batch(0), batches(dull.clips, 4800, 4).batch(0))
    mixed = batches([tone, Clip(noise(2, 48_000), ("a",), "n")], 4800, 40, mixed_share=1.0)
    flat = batches(mixed.clips, 4800, 40)
    assert not torch.allclose(mixed.batch(0), flat.batch(0))
    with pytest.raises(ValueError, match="no impulse responses"):
        CropSettings(100, 1, dataclasses.replace(PLAIN, response_share=0.1), 0)


def test_stereo_keeps_its_image() -> None:
    left = noise(3)
    source = batches([Clip(np.stack([left, 0.25 * left]), ("a",), "s")], speed_share=1.0)
    audio = source.batch(0)
    assert audio.shape == (4, 2, 1000)
    assert torch.allclose(audio[:, 1], 0.25 * audio[:, 0], atol=1e-5)


def test_a_stream_gives_one_crop_of_each_clip(tmp_path: Path) -> None:
    for shard in range(2):
        write_shard(
            tmp_path / f"s-{shard}.tar",
            [
                Sample(
                    f"{shard}-{i}",
                    np.full((1, 3000), 0.1 + 0.1 * i, np.float32),
                    48_000,
                    {"captions": ["a"]},
                )
                for i in range(3)
            ],
        )
    stream = streamed_crops(str(tmp_path), 48_000, 2, CropSettings(1000, 3, PLAIN, seed=1))
    (first, audio), (second, _) = (value for value, _ in zip(stream, range(2), strict=False))
    assert (first, second) == (0, 1) and audio.shape == (3, 2, 1000)
    assert torch.equal(audio, next(iter(stream))[1])
