"""Sounds with what a teacher says of them: how they are drawn, and how they lie in shards."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from woosh.audio import read_audio, resample
from woosh.data.augmentation import (
    at_speed,
    coloured,
    crop,
    mixed_as_equals,
    through_response,
    with_another_under,
)
from woosh.data.clips import Clip
from woosh.data.shards import decode_sample, write_items
from woosh.embeddings.tagging import Tagger
from woosh.outside_files import fitted, read_object, shaped
from woosh.training.cropping import happens
from woosh.whole_files import write_text

SUMMARY = "teaching.json"  # beside the shards: the labels of the logits, and the teachers
LOGITS = "teacher.npy"  # a sample's ending


@dataclass(frozen=True)
class SoundVariations:
    """How a drawn sound is varied before the teachers hear it.

    Attributes:
        speed: greatest change of speed, and of pitch with it, as a share.
        colour_decibels: standard deviation in dB of a smooth random filter.
        mixed_share: of the sounds that get another one under them.
        joined_share: of the sounds that are two at once.
        response_share: of the sounds that go through an impulse response.
    """

    speed: float
    colour_decibels: float
    mixed_share: float
    joined_share: float
    response_share: float


@dataclass(frozen=True)
class DrawnSound:
    """A sound to be taught.

    Attributes:
        audio: (S,) float32, its peak between 0.05 and 1.
        captions: of the recordings in it.
        labels: likewise.
        group: of the first recording.
    """

    audio: np.ndarray
    captions: tuple[str, ...]
    labels: tuple[str, ...]
    group: str


class SoundDrawer:
    """Sound number i follows from (seed, i) alone.

    Args:
        clips: sounds in memory, mono.
        chances: relative chance of each clip to be drawn (N,).
        lengths: in samples, ascending; one up to the first that holds the whole clip is drawn.
        variations: of the sounds.
        responses: impulse responses (R,) at the clips' rate.
        seed: of all draws.

    Raises:
        ValueError: no length, or sounds are to go through responses and there are none.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        chances: np.ndarray,
        lengths: Sequence[int],
        variations: SoundVariations,
        responses: Sequence[np.ndarray],
        seed: int,
    ) -> None:
        if not lengths or list(lengths) != sorted(set(lengths)) or lengths[0] < 1:
            raise ValueError(f"lengths are {list(lengths)}: name some, ascending and above 0")
        if variations.response_share and not responses:
            raise ValueError("response_share is above 0, but there are no impulse responses")
        self.clips, self.lengths, self.variations = clips, lengths, variations
        self.chances = np.asarray(chances, dtype=np.float64) / np.sum(chances)
        self.responses, self.seed = responses, seed

    def sound(self, number: int) -> DrawnSound:
        """Draw one."""
        generator = np.random.default_rng((self.seed, number))
        clip = self._draw(generator)
        holding = [length for length in self.lengths if length >= len(clip.audio)]
        fitting = [n for n in self.lengths if n <= (holding or self.lengths[-1:])[0]]
        samples = fitting[int(generator.integers(len(fitting)))]
        audio, parts = self._vary(clip, samples, generator), [clip]
        if happens(self.variations.joined_share, generator):
            parts.append(self._draw(generator))
            beside = self._vary(parts[-1], samples, generator)
            audio = mixed_as_equals(audio, beside, generator)
        if happens(self.variations.mixed_share, generator):
            other = self._draw(generator)
            audio = with_another_under(audio, np.resize(other.audio, len(audio)), generator)
        if happens(self.variations.response_share, generator):
            response = self.responses[int(generator.integers(len(self.responses)))]
            audio = through_response(audio, response)
        audio = crop(audio, samples, generator)
        audio = audio * 0.05 ** generator.random() / max(np.abs(audio).max(), 1e-4)
        return DrawnSound(
            audio.astype(np.float32),
            tuple(dict.fromkeys(part.captions[0] for part in parts)),
            tuple(dict.fromkeys(part.label for part in parts if part.label)),
            clip.group,
        )

    def _draw(self, generator: np.random.Generator) -> Clip:
        return self.clips[int(generator.choice(len(self.clips), p=self.chances))]

    def _vary(self, clip: Clip, samples: int, generator: np.random.Generator) -> np.ndarray:
        """A stretch of a clip (up to `samples`,) at another speed and of another colour."""
        factor = np.exp(generator.uniform(-1, 1) * np.log1p(self.variations.speed))
        needed = int(np.ceil(samples * factor)) + 1
        audio = crop(clip.audio, needed, generator) if len(clip.audio) > needed else clip.audio
        audio = at_speed(audio, factor)[:samples]
        return coloured(audio, self.variations.colour_decibels, generator)


@dataclass(frozen=True)
class TaughtSound:
    """A sound, and what is known of it.

    Attributes:
        audio: (S,) int16, full scale at 32,768; or a file that is read whenever it is heard.
        labels: by name.
        teacher: logits (C,) float16; None if no teacher heard it.
        absent: labels that it is known not to have; None where all that are not named are absent.
        device: that recorded it; "" where nobody says.
    """

    audio: np.ndarray | Path
    labels: tuple[str, ...]
    teacher: np.ndarray | None
    absent: tuple[str, ...] | None = None
    device: str = ""

    def samples(self, sample_rate: int) -> np.ndarray:
        """The audio (S,) int16, of a file at this rate.

        Raises:
            ValueError: a file that cannot be read.
        """
        if isinstance(self.audio, Path):
            return whole_numbers(read_audio(self.audio, sample_rate)[0])
        return self.audio


class Teachers:
    """One or several taggers whose logits are averaged.

    Args:
        taggers: with the same labels.

    Raises:
        ValueError: none, one that gives no logits, or several with different labels.
    """

    def __init__(self, taggers: Sequence[Tagger]) -> None:
        if not taggers:
            raise ValueError("teachers is empty: name a tagger, such as tagger:FILE")
        for tagger in taggers:
            if not tagger.embedder.tags:
                raise ValueError(f"{tagger.embedder.name} gives no logits: name a tagger")
            if tagger.labels != taggers[0].labels:
                names = f"{taggers[0].embedder.name} and {tagger.embedder.name}"
                raise ValueError(f"{names} have different labels: their logits have no mean")
        self.taggers, self.labels = taggers, taggers[0].labels

    def logits(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        """Mean logits (C,) float16 of a sound (S,), over its pieces and all teachers."""
        heard = []
        for tagger in self.taggers:
            own = resample(audio[None], sample_rate, tagger.embedder.sample_rate)[0]
            pieces = tagger.embedder.listen(torch.from_numpy(own)).logits
            assert pieces is not None  # since it tags
            heard.append(pieces.mean(dim=0))
        return torch.stack(heard).mean(dim=0).numpy().astype(np.float16)


def write_taught(
    path: Path, sounds: Iterable[tuple[DrawnSound, np.ndarray]], sample_rate: int
) -> None:
    """Write a shard of sounds with their teacher's logits (C,); it appears once it is complete.

    It is also a plain shard of sounds with captions, which every recipe reads.
    """

    def items() -> Iterable[dict[str, str | bytes]]:
        for number, (sound, logits) in enumerate(sounds):
            facts = {
                "captions": list(sound.captions),
                "labels": list(sound.labels),
                "group": sound.group,
            }
            flac, array = io.BytesIO(), io.BytesIO()
            soundfile.write(flac, sound.audio, sample_rate, format="FLAC", subtype="PCM_16")
            np.save(array, logits, allow_pickle=False)
            yield {
                "__key__": f"{path.stem}-{number:06d}",
                "flac": flac.getvalue(),
                "json": json.dumps(facts, ensure_ascii=False, sort_keys=True).encode(),
                LOGITS: array.getvalue(),
            }

    write_items(path, items())


def read_taught(item: Mapping[str, Any], place: str, sample_rate: int) -> TaughtSound:
    """A sound of an undecoded sample, mono, with a teacher's logits if the sample has some.

    Raises:
        ValueError: the sample is damaged.
    """
    sample = decode_sample(item, place, sample_rate)
    label = sample.facts.get("label")
    labels = fitted(
        sample.facts.get("labels", [label] if label else []),
        tuple[str, ...],
        f"{place}: labels of {sample.key!r}",
    )
    teacher = None
    if LOGITS in item:
        try:
            teacher = np.lib.format.read_array(io.BytesIO(item[LOGITS]), allow_pickle=False)
        except (ValueError, EOFError, MemoryError) as error:
            raise ValueError(f"{place}: the logits of {sample.key!r} are damaged") from error
        if teacher.ndim != 1 or teacher.dtype.kind != "f" or not np.isfinite(teacher).all():
            raise ValueError(f"{place}: the logits of {sample.key!r} are no list of finite numbers")
    return TaughtSound(whole_numbers(sample.audio[0]), labels, teacher)


def whole_numbers(audio: np.ndarray) -> np.ndarray:
    """Audio in [-1, 1] as int16, half the memory of floating numbers."""
    return np.round(np.clip(audio, -1, 32_767 / 32_768) * 32_768).astype(np.int16)


@dataclass(frozen=True)
class Teacher:
    """One of those whose logits a folder's shards hold: its name, and the SHA-256 of its weights."""

    name: str
    weights: str


@dataclass(frozen=True)
class Summary:
    """Whose logits a folder's shards hold, and of which labels."""

    teachers: tuple[Teacher, ...]
    labels: tuple[str, ...]


def write_summary(folder: Path, teachers: Teachers) -> None:
    """Write down whose logits a folder's shards hold, and of which labels."""
    embedders = [tagger.embedder for tagger in teachers.taggers]
    named = tuple(Teacher(embedder.name, embedder.weights) for embedder in embedders)
    summary = dataclasses.asdict(Summary(named, tuple(teachers.labels)))
    write_text(folder / SUMMARY, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")


def read_summary(folder: Path) -> Summary:
    """What `write_summary` wrote.

    Raises:
        FileNotFoundError: the folder says nothing.
        ValueError: what it says is damaged.
    """
    path = folder / SUMMARY
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} has no {SUMMARY}: make taught shards with training/teach.py, or name the labels"
        )
    return shaped(Summary, read_object(path), str(path))
