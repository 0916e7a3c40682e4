"""For Unreal Engine: a list of the cues, and a script for the editor's Python that imports them and makes sound cues.

Names of assets hold no space, so spaces become underscores.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from woosh.engines.cues import Cue, EngineFile, check_distinct
from woosh.engines.listing import facts_of, listing_text, template

NAME = "Unreal"
FORMATS = ("wav", "ogg", "flac")
LIST = "woosh-unreal.json"


def files(cues: Sequence[Cue]) -> list[EngineFile]:
    """The files of all cues.

    Raises:
        ValueError: two cues would have one name.
    """
    check_distinct([asset_name(cue.name) for cue in cues], Path(LIST))
    sounds = [
        facts_of(cue)
        | {
            "folder": asset_name(cue.folder),
            "cue": asset_name(cue.own_name),
            "waves": [
                asset_name(take.path.rpartition("/")[2].rpartition(".")[0]) for take in cue.takes
            ],
        }
        for cue in cues
    ]
    return [
        EngineFile(LIST, listing_text(sounds)),
        EngineFile("woosh_unreal.py", template("woosh_unreal.py.txt")),
    ]


def asset_name(name: str) -> str:
    """A name without spaces."""
    return name.replace(" ", "_")
