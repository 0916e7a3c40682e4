"""Sounds that something is made of: reading them, the words that go with them, and the record of what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from woosh import audio, catalogue
from woosh.audio.files import open_audio
from woosh.generation.request import Request, clean_text
from woosh.studio.finishing import check_record

if TYPE_CHECKING:
    import numpy as np

SILENT_PEAK = 1e-4


@dataclass(frozen=True, eq=False)
class Original:
    """A sound from a file.

    Attributes:
        path: of the file.
        audio: (C, S) float32, all channels.
        sample_rate: the file's own, in Hz.
    """

    path: Path
    audio: np.ndarray
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.audio.shape[1] / self.sample_rate


def read_original(path: Path) -> Original:
    """A sound with its own rate and channels.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not audio, or longer than is made at a time.
    """
    with open_audio(path) as file:
        rate, seconds = file.samplerate, file.frames / file.samplerate
    if seconds > catalogue.LONGEST_SECONDS:
        raise ValueError(
            f"{path} has {seconds:.0f} s, and up to {catalogue.LONGEST_SECONDS:g} are taken: cut it first"
        )
    return Original(path, audio.read_audio(path, rate, mono=False), rate)


def read_source(path: Path, sample_rate: int) -> np.ndarray:
    """A sound in mono (1, S) at a rate.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read, is silent, or longer than what is made at a time.
    """
    seconds = audio.audio_seconds(path)
    if seconds > catalogue.LONGEST_SECONDS:
        raise ValueError(
            f"{path} has {seconds:.0f} s: up to {catalogue.LONGEST_SECONDS:g} s are made at a time, cut it first"
        )
    sound = audio.read_audio(path, sample_rate)
    if sound.shape[1] == 0 or abs(sound).max() < SILENT_PEAK:
        raise ValueError(f"{path} is silent: there is nothing to start from")
    return sound


def prompt_for(path: Path, given: str | None) -> str:
    """The words that were given, or those that a file says it was made from, or none."""
    if given is not None:
        return clean_text(given, "prompt")
    try:
        known = audio.read_metadata(path).get("prompt")
    except ValueError:  # it says nothing of itself
        return ""
    return clean_text(known, "prompt") if isinstance(known, str) and known.strip() else ""


def guidance_for(prompt: str, negative: str | None, info: catalogue.ModelInfo) -> float | None:
    """The guidance where none was asked for: the model's own (None), or none (1) where there are no words to follow.

    That saves half of the work. Few-step models were taught their guidance and keep it.
    """
    return 1.0 if not prompt and negative is None and not info.few_step else None


def record_of(
    path: Path, operation: str, request: Request, info: catalogue.ModelInfo, **facts: Any
) -> dict[str, str | int | float]:
    """What the result's file keeps: the record of the sound before, and what was done to it.

    Args:
        path: of the sound before.
        operation: what was done, in a word.
        request: that the new one follows.
        info: of the model that made it.
        facts: what else is new.

    Raises:
        ValueError: it is too long.
    """
    new = request.record(info.name) | {"weights_licence": info.licence} | facts
    record = audio.derived_record(audio.kept_record(path), operation, **new)
    check_record(record)
    return record
