"""Zero-shot accuracy and retrieval of an aligner against counting by hand."""

import numpy as np
import pytest
import torch

from tests.sounds import sound
from tests.toys import make_clap
from woosh.audio import resample
from woosh.data.clips import Clip
from woosh.embeddings.clap import embed_sounds, embed_texts
from woosh.evaluation.aligner import evaluate_aligner

CAPTIONS = (("a dog", "one dog barking"), ("rain",), ("rain", "a shower"), ("sea waves",))
LABELS = ("dog", "rain", "rain", "")


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [
        Clip(resample(sound(seed), 48_000, 32_000)[0], captions, f"{seed}.wav", label)
        for seed, (captions, label) in enumerate(zip(CAPTIONS, LABELS, strict=True))
    ]


def test_sounds_and_texts_are_embedded_one_like_many(clips: list[Clip]) -> None:
    clap = make_clap()
    sounds = embed_sounds(clap, [clip.audio for clip in clips])
    assert sounds.shape == (4, 24)
    assert torch.allclose(sounds.norm(dim=1), torch.ones(4), atol=1e-5)
    assert torch.equal(sounds[2:3], embed_sounds(clap, [clips[2].audio]))
    texts = ["rain", "a dog", "sea waves"]
    assert torch.allclose(embed_texts(clap, texts, 2), embed_texts(clap, texts), atol=1e-6)


def test_the_figures_are_those_counted_by_hand(clips: list[Clip]) -> None:
    clap = make_clap()
    result = evaluate_aligner(clap, clips)
    sounds = embed_sounds(clap, [clip.audio for clip in clips]).numpy()
    words = embed_texts(clap, ["dog", "rain"]).numpy()
    right = [
        ("dog", "rain")[int(np.argmax(words @ sounds[row]))] == LABELS[row] for row in range(3)
    ]
    assert result["clips"] == 4 and result["labelled"] == 3
    assert result["zero_shot_accuracy"] == pytest.approx(np.mean(right))
    assert result["zero_shot_accuracy_per_label"] == {
        "dog": float(right[0]),
        "rain": pytest.approx(np.mean(right[1:])),
    }
    queries = [caption for captions in CAPTIONS for caption in captions]
    first = []
    for query in queries:
        best = int(np.argmax(sounds @ embed_texts(clap, [query])[0].numpy()))
        first.append(query in CAPTIONS[best])
    assert len(queries) == 6
    assert result["text_to_audio"]["recall_at_1"] == pytest.approx(np.mean(first))  # type: ignore[index]
    assert result["text_to_audio"]["recall_at_10"] == 1  # type: ignore[index]
    # At random the first of 4 clips is right for 4 of the captions 1 time in 4, for "rain" 2 in 4.
    chance = result["chance"]["text_to_audio"]["recall_at_1"]  # type: ignore[index]
    assert chance == pytest.approx((4 * 1 / 4 + 2 * 2 / 4) / 6)


def test_clips_without_labels_have_retrieval_alone(clips: list[Clip]) -> None:
    result = evaluate_aligner(make_clap(), clips[3:])
    assert result["labelled"] == 0 and result["zero_shot_accuracy"] is None
    assert result["zero_shot_accuracy_per_label"] == {}
    assert result["text_to_audio"]["recall_at_1"] == 1  # type: ignore[index]
