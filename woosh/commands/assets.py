"""What commands share that write sounds for a library: how files are stored, named after UCS, and signed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from woosh import audio
from woosh.audio import Record
from woosh.commands.outputs import Target
from woosh.outside_files import expanded
from woosh.studio.names import NO_SOURCE, Naming, find_category, propose
from woosh.studio.settings import StudioSettings, read_settings, settings_path
from woosh.whole_files import claimed

if TYPE_CHECKING:
    import numpy as np

    from woosh.embeddings.tagging import Tagger
    from woosh.studio.provenance import Credentials

# What --resume compares, beside the seed.
SAME = ("prompt", "negative_prompt", "model", "version", "lora", "from", "strength", "similarity")
CREDENTIALS = "credentials"  # folder beside the settings, of what is self-made


def add_asset_options(parser: argparse.ArgumentParser) -> None:
    """Add how files are stored, named and signed."""
    stored = add_storing_options(parser)
    stored("--format", choices=audio.FORMATS, help="file format (default wav)")
    named = parser.add_argument_group("what files say of themselves").add_argument
    named(
        "--ucs",
        action="store_true",
        help="name files after the Universal Category System: CatID_FXName_CreatorID_SourceID",
    )
    named(
        "--category",
        metavar="CATID",
        help="of UCS, such as DOORWood, with --ucs (default: proposed from the words and from what is heard)",
    )
    named(
        "--creator", metavar="ID", help="who makes the sounds, with --ucs (default: of studio.toml)"
    )
    named(
        "--source",
        dest="source_id",
        metavar="ID",
        help="library or project, with --ucs (default: likewise, or NONE)",
    )


def add_storing_options(parser: argparse.ArgumentParser) -> Callable[..., argparse.Action]:
    """Add --depth, --rate and --sign, of sound files; returns what adds to their group."""
    stored = parser.add_argument_group("how sound files are stored").add_argument
    stored(
        "--depth",
        type=int,
        choices=audio.DEPTHS,
        help="bits of a sample: wav takes 16, 24 and 32 (floating point), flac 16 and 24 (default 24)",
    )
    stored(
        "--rate",
        type=int,
        choices=audio.RATES,
        help="sample rate in Hz (default: the model's, or 48000 where the format cannot hold that)",
    )
    stored(
        "--sign",
        action="store_true",
        help="add Content Credentials, with your certificate or a self-made one (wav, flac, mp3; needs the extra "
        "provenance)",
    )
    return stored


@dataclass(frozen=True)
class Assets:
    """How a command's files are stored, named and signed."""

    encoding: audio.Encoding
    naming: Naming | None
    credentials: Credentials | None

    @cached_property
    def _tagger(self) -> Tagger:
        from woosh.catalogue import DEFAULT_TAGGER
        from woosh.embeddings.tagging import load_ear

        return load_ear(DEFAULT_TAGGER)

    def named(self, record: Record, sound: np.ndarray, sample_rate: int) -> Record:
        """A record with what UCS names its sound (C, S), if files are named so."""
        if self.naming is None:
            return record
        prompt = str(record.get("prompt", ""))
        category = self.naming.category
        if category is None:
            category = propose(prompt, self._heard(sound, sample_rate))
        return {**record, **self.naming.facts(prompt, category)}

    def _heard(self, sound: np.ndarray, sample_rate: int) -> str | None:
        """The CatID of what the built-in tagger hears."""
        import numpy as np
        import torch

        mono = sound.mean(axis=0, keepdims=True)
        mono = audio.resample(mono, sample_rate, self._tagger.embedder.sample_rate)[0]
        scores = self._tagger.scores(torch.from_numpy(np.ascontiguousarray(mono)))
        proposal = self._tagger.propose(scores)
        return None if proposal is None else proposal.category.catid

    def claim(
        self, target: Target, record: Record, index: int, clips: int
    ) -> AbstractContextManager[Path]:
        """Hold the path of clip `index` of `clips` while it is written."""
        if target.file is not None:
            return nullcontext(target.file)
        return claimed(self._names(target, record, index, clips))

    def made(
        self, target: Target, record: Record, seeds: Sequence[int], place: tuple[int, int]
    ) -> Path | None:
        """The file among the names of clip `place` (its number, of how many) that holds the same sound by its record.

        Whichever of the seeds it was made from; what was measured of it, and how the model was used, is left aside.
        """
        if target.file is not None:
            names: Iterator[Path] = iter([target.file])
        else:
            if self.naming is not None and self.naming.category is not None:
                facts = self.naming.facts(str(record.get("prompt", "")), self.naming.category)
                record = {**record, **facts}
            names = self._names(target, record, *place)
        for path in takewhile(Path.exists, names):
            try:
                found = audio.read_metadata(path)
            except (ValueError, FileNotFoundError):  # something else that has the name
                continue
            alike = all(found.get(word) == record.get(word) for word in SAME)
            if alike and found.get("seed") in seeds:
                return path
        return None

    def _names(self, target: Target, record: Record, index: int, clips: int) -> Iterator[Path]:
        """Names for a clip in the folder, the best first, without end."""
        prompt = str(record.get("prompt", ""))
        if self.naming is None:
            return target.names(prompt, index, clips)
        take = index + 1 if clips > 1 else None
        return self.naming.paths(
            target.folder, target.file_format, prompt, str(record["catid"]), take
        )

    def write(
        self,
        path: Path,
        sound: np.ndarray,
        sample_rate: int,
        record: Record,
        marks: audio.Marks = audio.NO_MARKS,
    ) -> None:
        """Write a sound (C, S) with places in it, and sign it."""
        audio.write_audio(path, sound, sample_rate, record, self.encoding, marks)
        if self.credentials is not None:
            from woosh.studio.provenance import sign

            sign(path, record, self.credentials)


def plan_assets(arguments: argparse.Namespace, target: Target) -> Assets:
    """Check the options of `add_asset_options` before the work.

    Raises:
        ValueError: a value that a format does not hold, a category that UCS does not know, no creator, or options that need
            another one; also for faults in the settings.
        ImportError: files are to be signed, and the extra is not installed.
        OSError: the settings or a certificate cannot be read.
    """
    settings = read_settings() if arguments.ucs else StudioSettings()
    return replace(plan_storing(arguments, target), naming=_naming(arguments, settings, target))


def plan_storing(arguments: argparse.Namespace, target: Target) -> Assets:
    """Check the options of `add_storing_options` before the work; names are as the target says.

    Raises:
        ValueError, ImportError, OSError: as `plan_assets`.
    """
    encoding = audio.Encoding(target.file_format, arguments.depth, arguments.rate)
    credentials = _credentials(read_settings(), target) if arguments.sign else None
    return Assets(encoding, None, credentials)


def _naming(
    arguments: argparse.Namespace, settings: StudioSettings, target: Target
) -> Naming | None:
    given = {
        "category": arguments.category,
        "creator": arguments.creator,
        "source": arguments.source_id,
    }
    if not arguments.ucs:
        for name, value in given.items():
            if value is not None:
                raise ValueError(f"--{name} is a part of UCS names: add --ucs")
        return None
    if target.file is not None:
        raise ValueError("--ucs makes the names itself: name a folder with -o, not a file")
    if getattr(arguments, "resume", False) and arguments.category is None:
        raise ValueError("--resume finds sounds by their names: with --ucs it needs --category")
    creator = settings.names.creator if arguments.creator is None else arguments.creator
    if creator is None:
        raise ValueError(
            f"--ucs needs to know who makes the sounds: add --creator, or write it into {settings_path()}"
        )
    category = None if arguments.category is None else find_category(arguments.category)
    source = settings.names.source if arguments.source_id is None else arguments.source_id
    return Naming(creator, NO_SOURCE if source is None else source, category)


def _credentials(settings: StudioSettings, target: Target) -> Credentials:
    from woosh.studio.provenance import check_signable, read_credentials, self_made_credentials

    check_signable(target.file_format)
    folder, given = settings_path().parent, settings.credentials
    if given.certificate is None or given.key is None:
        print(
            f"woosh: note: files are signed with a self-made certificate, which nobody vouches for: name yours in {settings_path()}",
            file=sys.stderr,
        )
        return self_made_credentials(folder / CREDENTIALS)
    return read_credentials(folder / expanded(given.certificate), folder / expanded(given.key))
