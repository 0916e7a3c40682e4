"""For Unity: a list of the cues, and two scripts, of which the editor's makes an asset for each cue.

`AudioRandomContainer` cannot be made by scripts, and older editors have none: takes are kept by a `ScriptableObject`.
"""

from __future__ import annotations

from collections.abc import Sequence

from woosh.engines.cues import Cue, EngineFile
from woosh.engines.listing import facts_of, listing_text, template

NAME = "Unity"
FORMATS = ("wav", "ogg", "mp3")


def files(cues: Sequence[Cue]) -> list[EngineFile]:
    """The files of all cues."""
    return [
        EngineFile("woosh-unity.json", listing_text([facts_of(cue) for cue in cues])),
        EngineFile("WooshSound.cs", template("WooshSound.cs")),
        EngineFile("Editor/WooshSounds.cs", template("WooshSounds.cs")),
    ]
