"""Batches of sounds with labels and answers: lengths, chances, variations, and what cannot be learned from."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.sounds import RATE, sound
from woosh.data.codecs import CODECS, through_codec
from woosh.training.styles import StyleConfig
from woosh.training.taggers.examples import (
    ExampleBatches,
    ExampleSettings,
    ExampleVariation,
    batch_of,
    held_out,
    label_matrix,
    labels_of,
    load_examples,
    sampling_weights,
    teacher_logits,
)
from woosh.training.taggers.teaching import TaughtSound, whole_numbers

PLAIN = ExampleVariation(0.0, 0.0, 0.0, 0.0)
LABELS = ("a", "b", "c")


def example(
    length: int, label: str = "", teacher: float | None = None, value: int = 100
) -> TaughtSound:
    answer = None if teacher is None else np.full(3, teacher, dtype=np.float16)
    return TaughtSound(np.full(length, value, np.int16), (label,) if label else (), answer)


def settings(**changes: object) -> ExampleSettings:
    values: dict = {
        "labels": LABELS,
        "sample_rate": 1000,
        "labelled": False,
        "samples": None,
        "batch_size": 4,
        "variation": PLAIN,
        "seed": 0,
    }
    return ExampleSettings(**values | changes)


def test_sounds_of_a_batch_are_equally_long_and_lengths_come_as_often_as_their_sounds() -> None:
    examples = [example(10, teacher=1.0)] * 30 + [example(20, teacher=2.0)] * 10
    batches = ExampleBatches(examples, np.ones(40), settings())
    counts: Counter[int] = Counter()
    for number in range(200):
        batch = batches.batch(number)
        counts[batch.audio.shape[1]] += 1
        assert batch.targets.teacher is not None
        assert (batch.targets.teacher == batch.audio.shape[1] // 10).all()
    assert 0.65 < counts[10] / 200 < 0.85
    assert torch.equal(batches.batch(7).audio, batches.batch(7).audio)


def test_rare_labels_are_drawn_as_often_as_others_without_an_offset() -> None:
    examples = [example(5, "a", value=1)] * 30 + [example(5, "b", value=2)] * 3
    weights = sampling_weights(examples, 0.0)
    assert weights[:30].sum() == pytest.approx(weights[30:].sum())
    published = sampling_weights(examples, 100.0)
    assert published[0] == pytest.approx(1 / 130) and published[-1] == pytest.approx(1 / 103)
    several = TaughtSound(np.zeros(5, np.int16), ("a", "b"), None)
    both = sampling_weights([*examples, several, example(5)], 100.0)
    assert both[-2] == pytest.approx(1 / 131 + 1 / 104)
    assert both[-1] == both.min()


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.floats(0, 0.9))
def test_of_every_label_a_share_is_held_out_and_nothing_is_lost(
    names: list[str], share: float
) -> None:
    examples = [example(5 + place, name) for place, name in enumerate(names)]
    training, validation = held_out(examples, share)
    found = sorted(len(one.audio) for one in training + validation)
    assert found == sorted(len(one.audio) for one in examples)
    for name, count in Counter(names).items():
        out = sum(one.labels == (name,) for one in validation)
        assert out == int(count * share)


def test_variations_change_what_they_say_and_nothing_else() -> None:
    ramp = TaughtSound(np.arange(1, 1001, dtype=np.int16), ("a",), None)
    generator = np.random.default_rng(0)
    rolled = batch_of(
        [ramp],
        settings(variation=ExampleVariation(0.0, 0.3, 0.0, 0.0), labelled=True),
        generator,
    ).audio[0]
    assert sorted(rolled.tolist()) == sorted((ramp.audio / 32_768).astype(np.float32).tolist())
    assert not torch.equal(rolled, rolled.sort().values)
    louder = batch_of(
        [ramp],
        settings(variation=ExampleVariation(0.0, 0.0, 6.0, 0.0), labelled=True),
        generator,
    ).audio[0]
    gain = louder / torch.from_numpy(ramp.audio / 32_768)
    assert gain.std() < 1e-6 and 0.5 < gain.mean() < 2
    echo = np.zeros(11)
    echo[10] = 1
    wet = batch_of(
        [ramp],
        settings(
            variation=ExampleVariation(0.0, 0.0, 0.0, 1.0),
            labelled=True,
            responses=(echo,),
        ),
        generator,
    ).audio[0]
    assert wet[:10].abs().max() < 1e-6 and wet[10:].min() > 0  # ten samples later


def test_answers_count_only_where_all_sounds_have_one() -> None:
    assert teacher_logits([example(5, teacher=1.0), example(5)], LABELS) is None
    with pytest.raises(ValueError, match="logits are of 3 labels, the list has 2"):
        teacher_logits([example(5, teacher=1.0)], ("a", "b"))


def test_what_cannot_be_learned_from() -> None:
    with pytest.raises(ValueError, match="no label"):
        label_matrix([example(5)], LABELS)
    with pytest.raises(ValueError, match="'z', which is not in the list"):
        label_matrix([example(5, "z")], LABELS)
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"\[0.005, 0.006\] s long"):
        batch_of([example(5), example(6)], settings(), generator)
    with pytest.raises(ValueError, match="the teacher heard whole sounds"):
        batch_of([example(5, teacher=1.0)], settings(samples=3), generator)
    with pytest.raises(ValueError, match="no impulse responses"):
        settings(variation=ExampleVariation(0.0, 0.0, 0.0, 0.5))
    with pytest.raises(ValueError, match="have no labels"):
        labels_of("nowhere", [example(5)])


def test_styles_change_the_spectrograms_and_nothing_else() -> None:
    """They are drawn last, so that a batch's sounds are the same with and without them."""
    sounds = [example(50), example(50), example(50)]
    plain, styled = (
        batch_of(
            sounds,
            settings(variation=ExampleVariation(0.3, 0.1, 6.0, 0.0, StyleConfig(share))),
            np.random.default_rng(3),
        )
        for share in (0.0, 1.0)
    )
    assert torch.equal(plain.audio, styled.audio)
    assert torch.equal(plain.mixture.share, styled.mixture.share)
    assert plain.styles is None and styled.styles is not None
    log_mel = torch.randn(3, 4, 6)
    torch.testing.assert_close(plain.heard(log_mel), plain.mixture.of(log_mel)[:, None])
    assert not torch.allclose(styled.heard(log_mel), plain.heard(log_mel), atol=0.01)
    for share, alpha in ((1.5, 0.4), (0.5, 0.0)):
        with pytest.raises(ValueError, match="mixstyle_share is"):
            StyleConfig(share, alpha)


def test_a_folder_s_sub_folders_are_labels(tmp_path: Path) -> None:
    for label in ("door", "sword"):
        (tmp_path / label / "takes").mkdir(parents=True)
        soundfile.write(tmp_path / label / "takes" / "1.wav", sound(1).T, RATE)
    found = load_examples(str(tmp_path), "train", 32_000)
    assert labels_of(str(tmp_path), found) == ("door", "sword")
    heard = soundfile.read(tmp_path / "door" / "takes" / "1.wav")[0]
    assert abs(len(found[0].audio) - len(heard) * 2 / 3) < 3
    assert np.abs(found[0].audio).max() / 32_768 == pytest.approx(np.abs(heard).max(), abs=0.05)


def test_full_scale_fits_into_16_bits() -> None:
    assert whole_numbers(np.array([1.0, -1.0, 0.0, 2.0])).tolist() == [32_767, -32_768, 0, 32_767]


def test_versions_come_through_codecs_where_some_are_named() -> None:
    """Each through one of them, drawn by chance, as recorded beside; no impulse response is needed for them."""
    generator = np.random.default_rng(0)
    sounds = [TaughtSound(whole_numbers(sound(n, 0.3)[0]), (), None) for n in range(6)]
    chosen = settings(sample_rate=RATE, parallel_sounds=6, parallel_codecs=("8 kHz", "mp3"))
    versions = batch_of(sounds, chosen, generator).versions
    assert versions is not None
    used = set()
    for own, other in zip(*versions.numpy(), strict=True):
        differences = {
            name: np.abs(through_codec(own, RATE, name) - other).max() for name in CODECS
        }
        used.add(min(differences, key=lambda name: differences[name]))
        assert min(differences.values()) < 1e-4
    assert used == {"8 kHz", "mp3"}
    with pytest.raises(ValueError, match="parallel_weight is above 0, but there are no impulse"):
        settings(parallel_sounds=1)
