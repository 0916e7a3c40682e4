"""A folder of assets from a sheet: what is to be made, what is already there, and making it sound by sound.

A take follows from its row alone, and where it lies from its name: rows that are inserted or moved change no other sound.
A take counts as unchanged if a manifest of the folder has its key, and its file the checksum that stands there.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from woosh import __version__, audio
from woosh.audio.finishing import LOUDNESS, TRUE_PEAK
from woosh.audio.true_peak import decibels
from woosh.catalogue import ModelInfo, model_checksum
from woosh.checksums import hash_files
from woosh.generation.records import full_record
from woosh.generation.request import Request, clean_text
from woosh.studio.loop import check_length, draw_loop
from woosh.studio.manifest import Entry, Journal, Shard, read_entries, write_manifest
from woosh.studio.sheets import MOST_ROWS, AssetRow, folded, naming
from woosh.studio.takes import draw_take
from woosh.whole_files import check_replaceable, replacing

if TYPE_CHECKING:
    from woosh.generation.sampling import Sampler

SOUND_VERSION = 1  # to be raised when the same row gives another sound or file than before
MakeSound = Callable[["Take"], "Made"]
# What becomes of each take, in their order, by the function that the first argument gives: the sound or the error.
MakeSounds = Callable[[Callable[[], MakeSound], Sequence["Take"]], Iterator["Made | Exception"]]
FAILURES = (ValueError, OSError, RuntimeError, MemoryError, ArithmeticError)  # of one sound


@dataclass(frozen=True)
class Take:
    """One sound of a sheet."""

    row: AssetRow
    number: int | None  # from 1, if the row has a count

    @property
    def path(self) -> str:
        """Inside the folder of assets, with forward slashes. A number has two digits, so that a higher count renames nothing."""
        behind = "" if self.number is None else f"-{self.number:02d}"
        return f"{self.row.name}{behind}.{self.row.format}"

    @property
    def seed(self) -> int:
        """The row's seed, raised by 1 for each take, or `seed_of` its name and prompt."""
        number = self.number or 1
        if self.row.seed is not None:
            return self.row.seed + number - 1
        return seed_of(self.row.name, self.row.prompt, number)

    @property
    def request(self) -> Request:
        """What a model is asked for."""
        row = self.row
        return Request(
            prompt=clean_text(row.prompt, "prompt"),
            negative_prompt=row.negative and clean_text(row.negative, "negative"),
            seconds=row.seconds,
            sound_seconds=row.sound_seconds,
            steps=row.steps,
            guidance_scale=row.guidance,
            seed=self.seed,
        )


def seed_of(name: str, prompt: str, number: int) -> int:
    """A seed of 32 bits from a row's name and prompt and the number of the take.

    The row's other settings do not count: the same take can be had longer or louder.
    """
    words = json.dumps([name, clean_text(prompt, "prompt"), number])
    return int.from_bytes(sha256(words.encode()).digest()[:4], "big")


@dataclass(frozen=True)
class Origin:
    """What all sounds of a run come from, beside their rows."""

    info: ModelInfo
    weights: str  # checksum of the model's files
    precision: str  # as asked for: auto, float32, ...

    @classmethod
    def of(cls, info: ModelInfo, precision: str) -> Origin:
        """The origin of a model's sounds, with the checksum of its files."""
        return cls(info, model_checksum(info.folder), precision)

    def key(self, take: Take) -> str:
        """Checksum of all that a take follows from: its settings, the model's name and files, the precision.

        A canonical JSON is hashed, without what is not set, so that a new kind of setting leaves present keys as they are.
        """
        row = dataclasses.asdict(take.row) | {"seed": take.seed, "name": None, "count": None}
        values = {
            "sound_version": SOUND_VERSION,
            "model": self.info.name,
            "weights": self.weights,
            "precision": self.precision,
            "row": {name: value for name, value in row.items() if value not in (None, False)},
        }
        return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Made:
    """A finished sound.

    Attributes:
        sound: (C, S) float32, within the ceiling of its format.
        seed: that made it: the take's own, or a later one where that gave silence.
        loudness: in LUFS.
        record: what its file says of how it was made.
    """

    sound: np.ndarray
    seed: int
    loudness: float
    record: audio.Record


def make_sound(take: Take, sampler: Sampler, info: ModelInfo) -> Made:
    """Make the sound of a take as its row asks, and finish it as `woosh generate` does.

    Raises:
        ValueError: what the model cannot do.
        NoSoundError: it made silence from every seed of the take.
    """
    row, request = take.row, take.request
    drawn = draw_loop(sampler, request)[1] if row.loop else draw_take(sampler, request)
    sound, seed = drawn.sound, drawn.seed
    if row.stereo:
        sound = audio.widen(sound, sampler.sample_rate, circular=row.loop)
    peak = min(TRUE_PEAK, decibels(audio.CEILINGS[row.format]))
    loudness = LOUDNESS if row.loudness is None else row.loudness
    settings = audio.FinishSettings(loop=row.loop, loudness=loudness, true_peak=peak)
    finished = audio.finish(sound, sampler.sample_rate, settings)
    asked = full_record(dataclasses.replace(request, seed=seed), info, sampler)
    made = {**asked, "operations": "loop"} if row.loop else asked
    return Made(finished.audio, seed, finished.loudness, {**made, **finished.record()})


@dataclass(frozen=True)
class Plan:
    """What a run is to do.

    Attributes:
        folder: of the assets.
        shard: the part of the sheet.
        origin: of the sounds.
        missing: takes of which there is no file.
        changed: takes whose file follows from other settings, or is no longer what was made.
        unchanged: what is known of takes that stay.
        leftover: what is known of other files that an earlier run made and that are still there: orphans, which no row asks for,
            and the former files of `changed`.
        orphaned: paths of the orphans.
    """

    folder: Path
    shard: Shard
    origin: Origin
    missing: Sequence[Take]
    changed: Sequence[Take]
    unchanged: Sequence[Entry]
    leftover: Sequence[Entry]
    orphaned: Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """How the making of one sound ended."""

    take: Take
    entry: Entry | None  # what the manifest tells, if it was made
    error: str | None  # why it was not made


def takes_of(rows: Sequence[AssetRow]) -> list[Take]:
    """All takes of a sheet.

    Raises:
        ValueError: there are more than `MOST_ROWS`, or two have one path.
    """
    if sum(len(row.numbers()) for row in rows) > MOST_ROWS:
        raise ValueError(f"the sheet asks for more than {MOST_ROWS} sounds: divide it")
    takes = [Take(row, number) for row in rows for number in row.numbers()]
    owners: dict[str, Take] = {}
    for take in takes:
        other = owners.setdefault(folded(take.path), take)
        if other is not take:
            raise ValueError(
                f"rows {other.row.name!r} and {take.row.name!r} both make {take.path}: rename one"
            )
    return takes


def check_takes(takes: Sequence[Take], info: ModelInfo) -> None:
    """Check that a model can make the takes and that their files can tell what they come from.

    Raises:
        ValueError: it cannot; with the row's name.
    """
    for take in takes:
        if take.number not in (None, 1):  # the others differ in their seeds alone
            continue
        with naming(f"row {take.row.name!r}"):
            take.request.check(info)
            if take.row.loop:
                check_length(take.row.seconds)
            audio.encode_metadata(take.request.record(info.name), audio.ASKED_BYTES)


def plan_batch(folder: Path, takes: Sequence[Take], origin: Origin, shard: Shard) -> Plan:
    """Compare a sheet with what is in a folder, which need not be there yet.

    Raises:
        ValueError: a manifest is damaged, or a file that no run made stands where a sound is to go.
        OSError: a file cannot be read, or not be replaced.
    """
    known: dict[str, list[Entry]] = {}
    for entry in read_entries(folder):
        known.setdefault(entry.path, []).append(entry)
    missing: list[Take] = []
    changed: list[Take] = []
    unchanged: list[Entry] = []
    leftover: list[Entry] = []
    for take in takes:
        if not shard.holds(take.path):
            continue
        path = folder / take.path
        check_replaceable(path)
        if not path.exists():
            missing.append(take)
            continue
        key = origin.key(take)
        made = _made(path, known.get(take.path, []), key)
        if made is None:
            raise ValueError(
                f"{path} is not what `woosh batch` wrote there: move it away or rename the row"
            )
        if made.key == key:
            unchanged.append(dataclasses.replace(made, name=take.row.name, take=take.number))
        else:
            changed.append(take)
            leftover.append(made)
    asked = {take.path for take in takes}
    orphans = [
        made
        for path in sorted(known.keys() - asked)
        if shard.holds(path) and (made := _made(folder / path, known[path], "")) is not None
    ]
    return Plan(
        folder,
        shard,
        origin,
        missing,
        changed,
        unchanged,
        leftover=[*leftover, *orphans],
        orphaned=[made.path for made in orphans],
    )


def _made(path: Path, known: Sequence[Entry], key: str) -> Entry | None:
    """What is known of a file, if it is there and a run made it; rather under this key than under another one."""
    if not path.is_file():
        return None
    digest = hash_files([path])
    same = [entry for entry in known if entry.sha256 == digest]
    return max(same, key=lambda entry: entry.key == key, default=None)


def one_by_one(load: Callable[[], MakeSound], takes: Sequence[Take]) -> Iterator[Made | Exception]:
    """Make the sounds of takes in this process, one after the other."""
    make = load()

    def made() -> Iterator[Made | Exception]:
        for take in takes:
            try:
                yield make(take)
            except FAILURES as error:
                yield error

    return made()


def make_assets(
    plan: Plan, load: Callable[[], MakeSound], make_sounds: MakeSounds = one_by_one
) -> Iterator[Outcome]:
    """Make what is missing or changed, and write each sound as its turn comes, then the manifest.

    A sound that cannot be made leaves the others as they are. A run that is killed, or whose outcomes are not all taken, has
    no manifest yet; the next one goes on from the journal.

    Args:
        plan: from `plan_batch`.
        load: gives what makes the sound of a take; called once, and not at all where nothing is to be made.
        make_sounds: makes the sounds of all takes by what `load` gives, here or elsewhere (`woosh.cluster.spread`).

    Raises:
        OSError: the folder, or what is noted in it, cannot be written.
    """
    takes = [*plan.missing, *plan.changed]
    made: list[Entry] = []
    for outcome in _outcomes(plan, takes, make_sounds(load, takes)) if takes else ():
        if outcome.entry is not None:
            made.append(outcome.entry)
        yield outcome
    plan.folder.mkdir(exist_ok=True)
    replaced = {entry.path for entry in made}
    leftover = [entry for entry in plan.leftover if entry.path not in replaced]
    write_manifest(plan.folder, plan.shard, [*plan.unchanged, *made], leftover)


def _outcomes(
    plan: Plan, takes: Sequence[Take], sounds: Iterator[Made | Exception]
) -> Iterator[Outcome]:
    """Write the sounds of the takes, one after the other."""
    plan.folder.mkdir(exist_ok=True)
    journal = Journal(plan.folder, plan.shard)
    for take, made in zip(takes, sounds, strict=True):
        try:
            if isinstance(made, Exception):
                raise made
            yield Outcome(take, _make_file(plan, take, made, journal), None)
        except FAILURES as error:
            yield Outcome(take, None, str(error) or type(error).__name__)


def _make_file(plan: Plan, take: Take, made: Made, journal: Journal) -> Entry:
    """Write the sound of a take; the journal knows it before it takes its name."""
    path, info = plan.folder / take.path, plan.origin.info
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, path.suffix) as part:
        asked = dataclasses.replace(take.request, seed=made.seed).record(info.name)
        named = {} if take.row.category is None else {"catid": take.row.category}
        marks = audio.Marks(loop=(0, made.sound.shape[1])) if take.row.loop else audio.NO_MARKS
        record = {**asked, **made.record, **named}
        audio.write_audio(part, made.sound, info.sample_rate, record, marks=marks)
        entry = _entry(plan.origin, take, made, hash_files([part]))
        journal.add(entry)
    return entry


def _entry(origin: Origin, take: Take, made: Made, digest: str) -> Entry:
    row, request, info = take.row, take.request, origin.info
    channels, samples = made.sound.shape
    return Entry(
        path=take.path,
        name=row.name,
        take=take.number,
        prompt=request.prompts[0],
        negative=None if row.negative is None else request.negative_prompts[0],
        seed=made.seed,
        steps=row.steps,
        guidance=row.guidance,
        model=info.name,
        weights=origin.weights,
        licence=info.licence,
        version=__version__,
        format=row.format,
        sample_rate=info.sample_rate,
        channels=channels,
        seconds=samples / info.sample_rate,
        loudness=round(made.loudness, 1) if np.isfinite(made.loudness) else None,
        loop_start=0 if row.loop else None,
        loop_end=samples - 1 if row.loop else None,
        category=row.category,
        sha256=digest,
        key=origin.key(take),
    )
