"""For Wwise: a tab-delimited list for its Audio File Importer, with random containers and loops.

Columns and types are those of the help page "Importing Media Files from Tab Delimited Text Files". Object paths are
relative to the place that is chosen in the importer; audio files are relative to the list.
"""

from __future__ import annotations

from collections.abc import Sequence

from woosh.engines.cues import MARK, Cue, EngineFile, one_line
from woosh.studio.manifest import Entry

NAME = "Wwise"
FORMATS = ("wav",)
COLUMNS = ("Audio File", "Object Path", "Property[IsLoopingEnabled]", "Notes")


def files(cues: Sequence[Cue]) -> list[EngineFile]:
    """The list of all cues."""
    rows = [COLUMNS, *(row_of(cue, take) for cue in cues for take in cue.takes)]
    text = "".join("\t".join(row) + "\r\n" for row in rows)
    return [EngineFile("woosh-wwise.txt", text)]


def row_of(cue: Cue, take: Entry) -> tuple[str, str, str, str]:
    """The row of a take."""
    folders = [f"<Virtual Folder>{part}" for part in cue.folder.split("/") if part]
    container = [f"<Random Container>{cue.own_name}"] if len(cue.takes) > 1 else []
    own = take.path.rpartition("/")[2].rpartition(".")[0]
    place = "\\".join([*folders, *container, f"<Sound SFX>{own}"])
    notes = one_line(
        f"{take.prompt}; seed {take.seed}; {take.model}, {take.licence}; {MARK}"
    ).replace('"', "'")
    return take.path.replace("/", "\\"), place, str(cue.loops).lower(), notes
