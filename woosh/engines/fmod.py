"""For FMOD Studio: a script for its scripting API, which imports the sounds and makes an event for each cue."""

from __future__ import annotations

import json
from collections.abc import Sequence

from woosh.engines.cues import Cue, EngineFile
from woosh.engines.listing import facts_of, template

NAME = "FMOD"
FORMATS = ("wav", "ogg", "flac", "mp3")


def files(cues: Sequence[Cue]) -> list[EngineFile]:
    """The script, with the list of all cues in it: in JSON, whose text of ASCII alone is the same in JavaScript."""
    sounds = ",\n".join(f"    {json.dumps(facts_of(cue))}" for cue in cues)
    return [EngineFile("woosh-fmod.js", template("woosh-fmod.js").replace("/* SOUNDS */", sounds))]
