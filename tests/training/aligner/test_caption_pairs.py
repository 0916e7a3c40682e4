"""Pairs of sounds and captions: what a batch follows from, and what belongs together."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from woosh.data.clips import Clip
from woosh.training.aligner.caption_pairs import (
    PairAugmentation,
    PairBatches,
    caption_groups,
    varied_caption,
)
from woosh.training.cropping import CropSettings

PLAIN = PairAugmentation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
RICH = PairAugmentation(0.15, 3.0, 0.5, 0.4, 0.5, 0.5, 0.3, 0.5)
RESPONSES = [np.array([1.0, 0.5, -0.3]), np.array([1.0])]


def clip(seconds: float, *captions: str) -> Clip:
    generator = np.random.default_rng(len(captions[0]))
    return Clip(generator.normal(0, 0.1, round(seconds * 1000)), captions, captions[0])


CLIPS = [clip(2.0, "rain", "wet"), clip(0.3, "a dog, barking"), clip(1.0, "wet", "sea")]


def batches(augmentation: PairAugmentation, size: int = 2, seed: int = 0) -> PairBatches:
    settings = CropSettings(500, size, augmentation, seed, RESPONSES)
    return PairBatches(CLIPS, np.ones(3), settings)


def test_clips_that_share_a_caption_belong_together_through_others_too() -> None:
    chain = [clip(1, "a", "b"), clip(1, "x"), clip(1, "c"), clip(1, "b", "c")]
    groups = caption_groups(chain)
    assert groups[0] == groups[2] == groups[3] != groups[1]


@pytest.mark.parametrize("augmentation", [PLAIN, RICH])
def test_a_batch_follows_from_seed_and_number(augmentation: PairAugmentation) -> None:
    first, again = (batches(augmentation).batch(4) for _ in range(2))
    other = batches(augmentation, seed=1).batch(4)
    assert torch.equal(first.audio, again.audio) and first.captions == again.captions
    assert not torch.equal(first.audio, other.audio)


@pytest.mark.parametrize("augmentation", [PLAIN, RICH])
def test_crops_have_their_length_and_silence_behind_it(augmentation: PairAugmentation) -> None:
    for number in range(20):
        batch = batches(augmentation, size=3).batch(number)
        assert batch.audio.shape == (3, 500) and batch.audio.dtype == torch.float32
        behind = torch.arange(500) >= batch.lengths[:, None]
        assert not batch.audio[behind].any() and batch.lengths.min() >= 1
        peaks = batch.audio.abs().amax(dim=1)
        assert (peaks <= 1 + 1e-6).all() and (peaks >= 0.05 - 1e-6).all()


def test_a_batch_repeats_clips_only_where_there_are_too_few() -> None:
    assert all(len(set(batches(PLAIN, 3).batch(n).groups.tolist())) == 2 for n in range(5))
    assert len(batches(PLAIN, 8).batch(0).captions) == 8


def test_captions_are_those_of_the_clip() -> None:
    for number in range(10):
        batch = batches(PLAIN).batch(number)
        for caption, group in zip(batch.captions, batch.groups.tolist(), strict=True):
            assert caption in CLIPS[1].captions if group == 1 else caption in {"rain", "wet", "sea"}


@given(st.text(max_size=30), st.integers(0, 99))
def test_words_are_left_out_but_never_all(caption: str, seed: int) -> None:
    varied = varied_caption(caption, RICH, np.random.default_rng(seed))
    assert len(varied.split()) <= len(caption.split())
    everything = dataclasses.replace(RICH, word_dropout=1.0, punctuation_dropout=0.0)
    kept = varied_caption(caption, everything, np.random.default_rng(seed)).split()
    assert kept == caption.split()[:1]


def test_punctuation_is_dropped_alone() -> None:
    only = dataclasses.replace(PLAIN, punctuation_dropout=1.0)
    assert varied_caption("a dog, barking!", only, np.random.default_rng(0)) == "a dog barking"


def test_joined_sounds_have_both_captions_and_are_like_no_other() -> None:
    joined = dataclasses.replace(PLAIN, joined_share=1.0)
    batch = batches(joined, size=3).batch(0)
    assert len(set(batch.groups.tolist())) == 3
    captions = {caption for clip in CLIPS for caption in clip.captions}
    for caption in batch.captions:
        parts = re.split(r" (?:and|with|beside) ", caption)
        assert len(parts) == 2 and set(parts) <= captions
    some = dataclasses.replace(PLAIN, joined_share=0.5)
    seen = [group for number in range(40) for group in batches(some).batch(number).groups.tolist()]
    assert 0.3 < np.mean([group < 0 for group in seen]) < 0.7


def test_polarity_and_responses_are_heard() -> None:
    plain = batches(PLAIN).batch(1).audio
    turned = batches(dataclasses.replace(PLAIN, polarity_share=1.0)).batch(1).audio
    cosine = torch.nn.functional.cosine_similarity(plain, turned, dim=1)
    assert torch.allclose(cosine[0], torch.tensor(-1.0), atol=1e-5)
    echoing = dataclasses.replace(PLAIN, response_share=1.0)
    settings = CropSettings(500, 2, echoing, 0, RESPONSES[:1])
    wet = PairBatches(CLIPS, np.ones(3), settings).batch(1)
    assert not torch.allclose(wet.audio, plain, atol=1e-2)
    with pytest.raises(ValueError, match="no impulse responses"):
        CropSettings(500, 2, dataclasses.replace(PLAIN, response_share=0.1), 0)
