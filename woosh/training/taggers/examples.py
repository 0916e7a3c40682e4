"""Batches of sounds with labels, a teacher's logits, or both, for training a tagger."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from woosh.data.augmentation import crop, through_response
from woosh.data.codecs import through_codec
from woosh.data.layouts import is_layout, read_layout
from woosh.data.shards import read_items, shard_urls
from woosh.data.sources import is_folder_of_sounds, is_sharded, load_source
from woosh.data.streaming import Item, ShardStream, StreamedBatches, split_of
from woosh.training.cropping import happens
from woosh.training.styles import StyleConfig, Styles, freq_mixstyle
from woosh.training.taggers.distillation import Mixture, Targets, draw_mixture
from woosh.training.taggers.teaching import (
    SUMMARY,
    TaughtSound,
    read_summary,
    read_taught,
    whole_numbers,
)


@dataclass(frozen=True)
class ExampleVariation:
    """How a training sound is varied, which leaves what it is and what a teacher says of it.

    Attributes:
        mixup: alpha of the mixture's shares, see `draw_mixture`; 0 mixes nothing.
        roll_seconds: a sound begins up to so much later or earlier, its end goes to the front.
        gain_decibels: greatest gain, and greatest loss.
        response_share: of the sounds that go through an impulse response, as if another device had recorded them.
        styles: of the batches whose spectrograms mix their statistics.
        main_device: whose sounds alone go through responses; None lets all.
    """

    mixup: float
    roll_seconds: float
    gain_decibels: float
    response_share: float
    styles: StyleConfig = StyleConfig()
    main_device: str | None = None


@dataclass(frozen=True)
class ExampleBatch:
    """What a training step is made from.

    Attributes:
        audio: (B, S) in about [-1, 1].
        targets: of each sound alone.
        mixture: which sounds are to be mixed.
        styles: whose statistics their spectrograms get afterwards; None leaves them their own.
        versions: of some of the sounds (2, V, S), not mixed: as they are, and through a device or codec each; None for no sound.
        devices: that recorded the sounds.
    """

    audio: Tensor
    targets: Targets
    mixture: Mixture
    styles: Styles | None
    versions: Tensor | None
    devices: tuple[str, ...]

    def heard(self, log_mel: Tensor) -> Tensor:
        """Log-mel of each sound alone (B, bands, T) -> mixed, in the batch's styles (B, 1, bands, T)."""
        mixed = self.mixture.of(log_mel)[:, None]
        return mixed if self.styles is None else freq_mixstyle(mixed, *self.styles)


@dataclass(frozen=True)
class ExampleSettings:
    """How sounds become a batch.

    Attributes:
        labels: C names.
        sample_rate: of the audio, in Hz.
        labelled: whether the sounds' labels count.
        samples: of a stretch that is cut from each sound; None takes whole ones, of one length in a batch.
        batch_size: sounds.
        variation: of each.
        seed: of all draws.
        responses: impulse responses (R,) at the sample rate.
        parallel_sounds: of a batch, that come in two versions beside.
        parallel_codecs: that make the second version, each by chance; none leaves it to the responses.

    Raises:
        ValueError: sounds are to go through responses, and there are none.
    """

    labels: tuple[str, ...]
    sample_rate: int
    labelled: bool
    samples: int | None
    batch_size: int
    variation: ExampleVariation
    seed: int
    responses: Sequence[np.ndarray] = ()
    parallel_sounds: int = 0
    parallel_codecs: Sequence[str] = ()

    def __post_init__(self) -> None:
        wanted = {
            "response_share": self.variation.response_share > 0,
            "parallel_weight": self.parallel_sounds > 0 and not self.parallel_codecs,
        }
        for name, needed in wanted.items():
            if needed and not self.responses:
                raise ValueError(f"{name} is above 0, but there are no impulse responses")

    def version(self, audio: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """A sound (S,) as another device or codec would have kept it (S,)."""
        if self.parallel_codecs:
            name = self.parallel_codecs[int(generator.integers(len(self.parallel_codecs)))]
            return through_codec(audio, self.sample_rate, name)
        response = self.responses[int(generator.integers(len(self.responses)))]
        return through_response(audio, response)


def load_examples(source: str, split: str, sample_rate: int) -> list[TaughtSound]:
    """All sounds of one split of a source, with labels and a teacher's logits where it has them.

    Args:
        source: see `woosh.data.sources.load_source`, or a data set in its layout (`woosh.data.layouts`), whose files are
            read when they are heard. The sounds of a folder have the sub-folder that they are in as their label.
        split: others are left out.
        sample_rate: of the result, in Hz.

    Raises:
        FileNotFoundError: there is no such source.
        ValueError: it is faulty, or has no sound of this split.
    """
    if is_sharded(source):
        found = [
            read_taught(item, url, sample_rate)
            for url in shard_urls(source)
            for item in read_items(url)
            if split_of(item) == split
        ]
        if not found:
            raise ValueError(f"{source} has no sound of the split {split!r}")
        return found
    if is_layout(source):
        return [
            TaughtSound(file.path, file.labels, None, file.absent, file.device)
            for file in read_layout(source, split)
        ]
    by_folder = is_folder_of_sounds(source)
    examples = []
    for clip in load_source(source, split, sample_rate):
        parents = PurePosixPath(clip.name).parts[:-1]
        label = parents[0] if by_folder and parents else clip.label
        labels = (label,) if label else ()
        examples.append(TaughtSound(whole_numbers(clip.audio), labels, None, device=clip.device))
    return examples


def labels_of(source: str, examples: Sequence[TaughtSound]) -> tuple[str, ...]:
    """The labels of a source: those of its teachers, or all that its sounds have, in alphabetical order.

    Raises:
        ValueError: there are none.
    """
    if (Path(source) / SUMMARY).is_file():
        return read_summary(Path(source)).labels
    names = sorted({label for e in examples for label in (*e.labels, *(e.absent or ()))})
    if not names:
        raise ValueError(
            f"the sounds of {source} have no labels: sort them into a sub-folder for each label, or give the rows of "
            'a manifest the field "label"'
        )
    return tuple(names)


def held_out(
    examples: Sequence[TaughtSound], share: float
) -> tuple[list[TaughtSound], list[TaughtSound]]:
    """Of each label's sounds, evenly spread, a share for validation; first those that are left for training.

    Raises:
        ValueError: a share outside 0 to below 1.
    """
    if not 0 <= share < 1:
        raise ValueError(f"held_out_share is {share}; it must be from 0 to below 1")
    training, validation = [], []
    counts: dict[tuple[str, ...], int] = {}
    for example in examples:
        place = counts.get(example.labels, 0)
        counts[example.labels] = place + 1
        kept = int((place + 1) * share) == int(place * share)
        (training if kept else validation).append(example)
    return training, validation


def sampling_weights(examples: Sequence[TaughtSound], offset: float) -> np.ndarray:
    """How often each sound is drawn (N,): the sum over its labels of 1 / (offset + sounds of that label).

    Published for AudioSet with an offset of 100 (arXiv 2110.05069); 0 draws all labels equally often. Sounds without
    a label get the smallest of the weights.
    """
    counts: dict[str, int] = {}
    for example in examples:
        for label in example.labels:
            counts[label] = counts.get(label, 0) + 1
    weights = np.array([sum(1 / (offset + counts[n]) for n in e.labels) for e in examples])
    return np.where(weights > 0, weights, weights[weights > 0].min(initial=1.0))


def label_matrix(examples: Sequence[TaughtSound], labels: Sequence[str]) -> Tensor:
    """Which labels each sound has (N, C), 0 or 1.

    Raises:
        ValueError: a sound without a label, or with one that is not in the list.
    """
    index = {label: place for place, label in enumerate(labels)}
    matrix = torch.zeros(len(examples), len(labels))
    for row, example in enumerate(examples):
        if not example.labels and example.absent is None:
            raise ValueError(
                "a sound has no label: give it one, or set label_share to 0 where a teacher heard it"
            )
        for label in example.labels:
            if label not in index:
                raise ValueError(
                    f"a sound has the label {label!r}, which is not in the list: add it, leave the list empty to "
                    "take all, or set label_share to 0 where a teacher heard it"
                )
            matrix[row, index[label]] = 1
    return matrix


def known_labels(examples: Sequence[TaughtSound], labels: Sequence[str]) -> Tensor | None:
    """Of which labels it is known whether each sound has them (N, C), 0 or 1; None where it is of all."""
    if all(example.absent is None for example in examples):
        return None
    rows = []
    for example in examples:
        asked = set(labels if example.absent is None else (*example.labels, *example.absent))
        rows.append([float(label in asked) for label in labels])
    return torch.tensor(rows)


class ExampleBatches:
    """Batch number i follows from (seed, i) alone.

    All sounds of a batch are equally long: where they are taken whole, a length is drawn first, in proportion to the
    number of sounds that have it.

    Args:
        examples: to draw from.
        chances: relative chance of each (N,).
        settings: of the batches.
    """

    def __init__(
        self, examples: Sequence[TaughtSound], chances: np.ndarray, settings: ExampleSettings
    ) -> None:
        self.examples, self.settings = examples, settings
        if settings.samples is None and any(isinstance(e.audio, Path) for e in examples):
            raise ValueError(
                "files that are read when they are heard have many lengths: set crop_seconds"
            )
        lengths = [
            0 if settings.samples else len(e.samples(settings.sample_rate)) for e in examples
        ]
        by_length = {n: np.flatnonzero(np.equal(lengths, n)) for n in sorted(set(lengths))}
        self.groups = list(by_length.values())
        self.shares = np.array([len(group) for group in self.groups]) / len(examples)
        self.chances = [chances[group] / chances[group].sum() for group in self.groups]

    def batch(self, number: int) -> ExampleBatch:
        """Draw a batch: different sounds as long as there are enough."""
        generator = np.random.default_rng((self.settings.seed, number))
        place = int(generator.choice(len(self.groups), p=self.shares))
        group, size = self.groups[place], self.settings.batch_size
        rows = generator.choice(group, size, replace=len(group) < size, p=self.chances[place])
        return batch_of([self.examples[row] for row in rows], self.settings, generator)


def batch_of(
    examples: Sequence[TaughtSound], settings: ExampleSettings, generator: np.random.Generator
) -> ExampleBatch:
    """A batch of sounds, varied.

    Raises:
        ValueError: sounds of different lengths that are to be taken whole, sounds that a teacher heard whole and of which
            a stretch is to be cut, or logits of another number of labels.
    """
    if settings.samples is not None and any(example.teacher is not None for example in examples):
        raise ValueError(
            "the teacher heard whole sounds, and its logits are not those of a stretch: set crop_seconds to null"
        )
    heard = [example.samples(settings.sample_rate) for example in examples]
    lengths = {len(audio) for audio in heard}
    if settings.samples is None and len(lengths) > 1:
        seconds = sorted(length / settings.sample_rate for length in lengths)
        raise ValueError(
            f"the sounds of a batch are {seconds} s long: set crop_seconds, or teach sounds of one length"
        )
    variation, rate = settings.variation, settings.sample_rate
    sounds, cropped = [], []
    for example, whole in zip(examples, heard, strict=True):
        audio = whole.astype(np.float32) / 32_768
        audio = audio if settings.samples is None else crop(audio, settings.samples, generator)
        cropped.append(audio)
        own = variation.main_device in (None, example.device)
        if own and happens(variation.response_share, generator):
            response = settings.responses[int(generator.integers(len(settings.responses)))]
            audio = through_response(audio, response)
        limit = round(variation.roll_seconds * rate)
        audio = np.roll(audio, int(generator.integers(-limit, limit + 1)))
        gain = generator.uniform(-1, 1) * variation.gain_decibels
        sounds.append(audio * 10 ** (gain / 20))
    teacher = teacher_logits(examples, settings.labels)
    labels = label_matrix(examples, settings.labels) if settings.labelled else None
    batch = ExampleBatch(
        torch.from_numpy(np.stack(sounds).astype(np.float32)),
        Targets(labels, teacher, known_labels(examples, settings.labels)),
        draw_mixture(len(examples), variation.mixup, generator),
        variation.styles.draw(len(examples), generator),
        None,
        tuple(example.device for example in examples),
    )
    if not settings.parallel_sounds:
        return batch
    # Drawn last, so that a batch is otherwise the same with and without them.
    own = cropped[: settings.parallel_sounds]
    heard = [settings.version(audio, generator) for audio in own]
    versions = torch.from_numpy(np.stack([np.stack(own), np.stack(heard)]).astype(np.float32))
    return dataclasses.replace(batch, versions=versions)


def teacher_logits(examples: Sequence[TaughtSound], labels: Sequence[str]) -> Tensor | None:
    """A teacher's logits (N, C); None where no teacher heard all of the sounds.

    Raises:
        ValueError: they are of another number of labels.
    """
    rows = [example.teacher for example in examples if example.teacher is not None]
    if len(rows) < len(examples):
        return None
    teacher = torch.from_numpy(np.stack(rows))
    if teacher.shape[1] != len(labels):
        raise ValueError(
            f"the teacher's logits are of {teacher.shape[1]} labels, the list has {len(labels)}"
        )
    return teacher


def streamed_examples(
    source: str, split: str, settings: ExampleSettings
) -> StreamedBatches[ExampleBatch]:
    """Batches of the sounds of shards, which are read as they are needed, every one once in a pass."""

    def make(items: Sequence[tuple[str, Item]], number: int) -> ExampleBatch:
        examples = [read_taught(item, url, settings.sample_rate) for url, item in items]
        return batch_of(examples, settings, np.random.default_rng((settings.seed, number)))

    stream = ShardStream(shard_urls(source), split, settings.seed)
    return StreamedBatches(stream, lambda _number: settings.batch_size, make)
