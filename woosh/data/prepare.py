"""From a folder or a manifest to shards: resampled, cut where it sounds, without doubles.

The files are taken in their order, so many to a shard. A shard follows from its files and the settings
alone; one that is there is left as it is, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from woosh.audio import audio_seconds, read_blocks
from woosh.checksums import hash_files
from woosh.data.manifests import Row
from woosh.data.recordings import list_recordings
from woosh.data.segments import Segment, cut_evenly, sounding_segments
from woosh.data.selection import Selection
from woosh.data.shards import ENDING, Sample, write_shard
from woosh.outside_files import check_name, printable, read_object, shaped, shown
from woosh.progress import Progress, no_progress
from woosh.whole_files import alone_in, write_text

PLAN, REPORT = "plan.json", "report.json"
PART = ".part"  # ends the name of what is being written
BLOCK_SECONDS = 300.0  # of a recording that are in memory; a longer one is taken as several
HASHING_THREADS = 4


@dataclass(frozen=True)
class Settings:
    """How recordings become samples.

    Attributes:
        sample_rate: of the shards, in Hz.
        mono: average the channels into one.
        gap_seconds: silence from this length on parts two samples.
        shortest_seconds: shorter samples are left out.
        longest_seconds: longer ones are cut into equal pieces.
        files_per_shard: recordings whose samples make one shard.
        selection: which samples are kept; None keeps all.
    """

    sample_rate: int = 48_000
    mono: bool = True
    gap_seconds: float = 2.0
    shortest_seconds: float = 0.05
    longest_seconds: float = 60.0
    files_per_shard: int = 256
    selection: Selection | None = None


@dataclass(frozen=True)
class Recording:
    """A file to prepare, and sha256 of it."""

    row: Row
    content: str


@dataclass(frozen=True)
class Notes:
    """What became of the recordings of one shard, in the file beside it; as in `Report`, lengths in seconds."""

    samples: int
    found: float
    written: float
    licences: dict[str, float]
    rejected: dict[str, str]
    unselected: dict[str, int] = dataclasses.field(
        default_factory=dict
    )  # earlier versions have none


@dataclass(frozen=True)
class Report:
    """What a preparation did.

    Attributes:
        files: recordings that were found.
        samples: that were written.
        hours_found: of the recordings that could be read.
        hours_written: of the samples.
        licences: hours written, by licence.
        rejected: files that gave no sample, by path, with the reason.
        unselected: samples that the selection left out, by reason.
    """

    files: int
    samples: int
    hours_found: float
    hours_written: float
    licences: dict[str, float]
    rejected: dict[str, str]
    unselected: dict[str, int]


def prepare(
    source: Path,
    output: Path,
    settings: Settings,
    workers: int = 1,
    progress: Progress = no_progress,
) -> Report:
    """Write the shards of a source, those that are missing, and the report of all.

    Args:
        source: manifest (JSONL beside its audio) or folder.
        output: folder of the shards; made if missing. One preparation at a time writes there (see `alone_in`): what
            another one that was killed has left half written is removed.
        settings: how.
        workers: processes.
        progress: shows how far it is.

    Raises:
        FileNotFoundError: no such source.
        ValueError: nothing to prepare, or the output was made from another source or with other settings, or is damaged.
        OSError: the output cannot be written, or another preparation works there.
    """
    folder, rows, unreadable = list_recordings(source)
    recordings, rejected = _without_doubles(folder, rows, progress)
    rejected |= unreadable
    parts = [
        recordings[start : start + settings.files_per_shard]
        for start in range(0, len(recordings), settings.files_per_shard)
    ]
    output.mkdir(parents=True, exist_ok=True)
    with alone_in(output):
        for half_written in output.glob(f"*{PART}"):
            half_written.unlink()
        _check_plan(output, settings, recordings)
        shards = [output / f"shard-{number:06d}{ENDING}" for number in range(len(parts))]
        missing = [number for number, shard in enumerate(shards) if not shard.is_file()]
        jobs = [(folder, parts[number], shards[number], settings) for number in missing]
        for _ in progress(_run(jobs, workers), len(jobs), "writing shards"):
            pass
        notes = [_notes_of(shard) for shard in shards]
        report = _merged(notes, len(rows) + len(unreadable), rejected)
        text = json.dumps(dataclasses.asdict(report), indent=1, ensure_ascii=False)
        write_text(output / REPORT, text + "\n")
    return report


def _without_doubles(
    folder: Path, rows: Sequence[Row], progress: Progress
) -> tuple[list[Recording], dict[str, str]]:
    """The rows whose content no earlier row has; the others with the reason."""

    def content(row: Row) -> str:
        try:
            check_name(row.file)
            return hash_files([folder / row.file])
        except ValueError:
            return "cannot be read: its name is not text in UTF-8, so rename it"
        except OSError as error:
            return f"cannot be read: {error.strerror}"

    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        contents = list(progress(pool.map(content, rows), len(rows), "hashing"))
    first: dict[str, str] = {}
    recordings, rejected = [], {}
    for row, found in zip(rows, contents, strict=True):
        if found.startswith("cannot"):
            rejected[printable(row.file)] = found
        elif found in first:
            rejected[row.file] = f"the same as {first[found]}"
        else:
            first[found] = row.file
            recordings.append(Recording(row, found))
    return recordings, rejected


def _check_plan(output: Path, settings: Settings, recordings: Sequence[Recording]) -> None:
    """Write down what the shards are made of, or check that those that are there were made of the same."""
    inputs = json.dumps([dataclasses.asdict(recording) for recording in recordings])
    plan = dataclasses.asdict(dataclasses.replace(settings, selection=None))
    del plan["selection"]
    if settings.selection is not None:
        plan |= settings.selection.plan()
    plan["inputs"] = hashlib.sha256(inputs.encode()).hexdigest()
    path = output / PLAN
    if not path.is_file():
        write_text(path, json.dumps(plan, indent=1) + "\n")
        return
    try:
        found = read_object(path)
    except ValueError as error:
        raise ValueError(
            f"{error}: {output} does not know what it was made of, so delete it, or name another folder"
        ) from error
    for name in plan.keys() | found.keys():
        if found.get(name) != plan.get(name):
            made = f"with {name} {shown(found.get(name))}, not {shown(plan.get(name))}"
            made = "of other recordings" if name == "inputs" else made
            raise ValueError(f"{output} was made {made}: name another folder, or delete this one")


def _run(jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[None]:
    """Make shards in this process or in several."""
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            make_shard(*job)
            yield
        return
    # Fresh processes: a fork would copy the threads of libraries in the middle of their work.
    with ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn")) as pool:
        try:
            for done in as_completed([pool.submit(make_shard, *job) for job in jobs]):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def make_shard(
    folder: Path, recordings: Sequence[Recording], shard: Path, settings: Settings
) -> None:
    """Write the samples of some recordings as one shard, and before it the notes of what became of them."""
    notes: dict[str, Any] = {"samples": 0, "found": 0.0, "written": 0.0}
    notes |= {"licences": defaultdict(float), "rejected": {}, "unselected": defaultdict(int)}

    def samples() -> Iterator[Sample]:
        for recording in recordings:
            for sample in _samples_of(folder, recording, settings, notes):
                seconds = sample.audio.shape[1] / sample.sample_rate
                notes["samples"] += 1
                notes["written"] += seconds
                notes["licences"][recording.row.licence or "not stated"] += seconds
                yield sample
        write_text(_notes_path(shard), json.dumps(notes))

    write_shard(shard, samples())


def _samples_of(
    folder: Path, recording: Recording, settings: Settings, notes: dict[str, Any]
) -> Iterator[Sample]:
    """The sounding parts of a recording that the selection keeps; where there are none, the reason goes to the notes."""
    path, rate = folder / recording.row.file, settings.sample_rate
    block_seconds = max(BLOCK_SECONDS, settings.longest_seconds)
    made, kept, done, reason = 0, 0, 0, None
    try:
        # A fault at the end of a long one is found before its beginning is written.
        if audio_seconds(path) > block_seconds:
            for _ in read_blocks(path, rate, settings.mono, block_seconds):
                pass
        for audio in read_blocks(path, rate, settings.mono, block_seconds):
            for piece in _pieces(audio, settings):
                start, stop = (done + piece.start) / rate, (done + piece.stop) / rate
                sample = Sample(
                    f"{recording.content[:16]}-{made:04d}",
                    _within_full_scale(audio[:, piece.start : piece.stop]),
                    rate,
                    _facts(recording.row, recording.content, start, stop),
                )
                made += 1
                refusal = settings.selection and settings.selection.refuses(sample.audio, rate)
                if refusal:
                    notes["unselected"][refusal] += 1
                    reason = refusal
                else:
                    kept += 1
                    yield sample
            done += audio.shape[1]
    except (ValueError, OSError) as error:
        notes["rejected"][recording.row.file] = str(error)
        return
    notes["found"] += done / rate
    if not kept:
        notes["rejected"][recording.row.file] = (
            reason or "silent, or shorter than the shortest sample"
        )


def _pieces(audio: np.ndarray, settings: Settings) -> list[Segment]:
    """The sounding stretches of audio (C, S), cut to the longest sample, without those below the shortest."""
    rate = settings.sample_rate
    if audio.shape[1] == 0:  # of the few samples behind the last whole block none may be left
        return []
    return [
        piece
        for segment in sounding_segments(audio, rate, settings.gap_seconds)
        for piece in cut_evenly(segment, round(settings.longest_seconds * rate))
        if piece.stop - piece.start >= settings.shortest_seconds * rate
    ]


def _within_full_scale(audio: np.ndarray) -> np.ndarray:
    """Audio as FLAC can hold it: what passes [-1, 1], as resampling may, is made quieter."""
    peak = float(np.abs(audio).max())
    return audio / peak if peak > 1 else audio


def _facts(row: Row, content: str, start: float, stop: float) -> dict[str, Any]:
    """What is written beside a sample: the row, where in its file the sample was, and the file's content.

    A sample has the captions of the segments that the row names within its stretch, or those of the file.
    """
    facts = {name: value for name, value in dataclasses.asdict(row).items() if value}
    facts.pop("segments", None)
    own = [
        caption
        for segment in row.segments
        if segment.start < stop and segment.stop > start
        for caption in segment.captions
    ]
    captions = own or list(row.captions)
    return facts | {
        "captions": captions,
        "seconds": stop - start,
        "start": start,
        "content": content,
    }


def _notes_path(shard: Path) -> Path:
    return shard.with_suffix(".json")


def _notes_of(shard: Path) -> Notes:
    path = _notes_path(shard)
    try:
        return shaped(Notes, read_object(path), str(path))
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"{error}: delete {shard}, which is then made anew") from error


def _merged(notes: Sequence[Notes], files: int, rejected: dict[str, str]) -> Report:
    """The report of all shards."""

    def hours(pick: Callable[[Notes], float]) -> float:
        return sum(pick(note) for note in notes) / 3600

    unselected: Counter[str] = Counter()
    for note in notes:
        unselected.update(note.unselected)
    licences = sorted({name for note in notes for name in note.licences})
    for note in notes:
        rejected = rejected | note.rejected
    return Report(
        files=files,
        samples=sum(note.samples for note in notes),
        hours_found=hours(lambda note: note.found),
        hours_written=hours(lambda note: note.written),
        licences={name: hours(lambda note: note.licences.get(name, 0.0)) for name in licences},  # noqa: B023
        rejected=dict(sorted(rejected.items())),
        unselected=dict(sorted(unselected.items())),
    )
