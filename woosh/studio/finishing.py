"""What is done to a take before it is written: widened, finished or only brought to a level, and what its file keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from woosh import audio
from woosh.audio.finishing import LOUDNESS, TRUE_PEAK
from woosh.audio.true_peak import decibels
from woosh.studio.seeds import take_seeds

if TYPE_CHECKING:
    import numpy as np

    from woosh.studio.takes import Take

# What finishing adds to a file's record, at its longest.
LONGEST_MEASURED = {"loudness": -100.0, "loudness_measure": "integrated", "true_peak": -100.0}


@dataclass(frozen=True)
class Finishing:
    """How a command finishes its sounds.

    Attributes:
        settings: None leaves a sound as the model makes it.
        stereo: whether it becomes two channels.
        loop: whether its end goes on at its beginning.
        ceiling: largest sample that the format takes.
    """

    settings: audio.FinishSettings | None
    stereo: bool
    loop: bool
    ceiling: float


@dataclass(frozen=True, eq=False)
class Ready:
    """A sound to be written.

    Attributes:
        audio: (C, S), no sample past the format's ceiling.
        loudness: in LUFS.
        reached: whether that is the loudness asked for; true if none was.
        record: what finishing adds to the file's record.
        marks: places in it.
    """

    audio: np.ndarray
    loudness: float
    reached: bool
    record: dict[str, str | float]
    marks: audio.Marks


def full_finishing(
    ceiling: float,
    loudness: float | None = LOUDNESS,
    trim: audio.Trim | None = None,
    samples: int | None = None,
    stereo: bool = False,
) -> Finishing:
    """All that is done to a generated sound: see `woosh.audio.finish`.

    Args:
        ceiling: largest sample that the format takes.
        loudness: in LUFS, or None to leave the level.
        trim: how silence at its ends is found; None keeps it.
        samples: the exact length; None leaves it.
        stereo: whether sounds of one channel become two.
    """
    peak = min(TRUE_PEAK, decibels(ceiling))
    settings = audio.FinishSettings(trim, samples, loudness=loudness, true_peak=peak)
    return Finishing(settings, stereo, False, ceiling)


def levelling_of(
    loudness: float | None, ceiling: float, loop: bool = False, stereo: bool = False
) -> Finishing:
    """Nothing but a level, where one is asked for; without it a sound keeps its bits.

    Args:
        loudness: in LUFS, or None.
        ceiling: largest sample that the format takes.
        loop: whether the end of the sounds goes on at their beginning.
        stereo: whether sounds of one channel become two.
    """
    if loudness is None:
        return Finishing(None, stereo, loop, ceiling)
    peak = min(TRUE_PEAK, decibels(ceiling))
    settings = audio.FinishSettings(trim=None, loop=loop, loudness=loudness, true_peak=peak)
    return Finishing(settings, stereo, loop, ceiling)


def finished_take(take: Take, finishing: Finishing, sample_rate: int) -> Ready:
    """Widen and finish a take.

    Args:
        take: as the model made it.
        finishing: what is asked for.
        sample_rate: in Hz.
    """
    sound = take.sound
    if finishing.stereo:
        sound = audio.widen(sound, sample_rate, circular=finishing.loop)
    settings = finishing.settings
    marks = audio.Marks(loop=(0, sound.shape[1])) if finishing.loop else audio.NO_MARKS
    if settings is None:
        guarded = audio.peak_guard(sound, finishing.ceiling)
        loudness = audio.levelling_loudness(guarded, sample_rate)
        return Ready(guarded, loudness, True, {}, marks)
    finished = audio.finish(sound, sample_rate, settings)
    return Ready(finished.audio, finished.loudness, finished.reached, finished.record(), marks)


def check_record(record: audio.Record) -> None:
    """Check that a file can hold a record, with whatever seed and loudness its sound will have.

    Raises:
        ValueError: it is too long.
    """
    last_seed = take_seeds(int(record.get("seed", 0)))[-1]
    audio.encode_metadata(record, audio.ASKED_BYTES)
    audio.encode_metadata({**record, "seed": last_seed, **LONGEST_MEASURED})
