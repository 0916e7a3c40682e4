"""A plain list of cues in JSON, which the scripts for Unity and Unreal read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files as resources
from typing import Any

from woosh.engines.cues import MARK, Cue


def listing_text(sounds: Sequence[dict[str, Any]]) -> str:
    """The list as a file."""
    return json.dumps({"made_by": MARK, "sounds": list(sounds)}, indent=1) + "\n"


def facts_of(cue: Cue) -> dict[str, Any]:
    """What a script must know of a cue."""
    return {"name": cue.name, "loop": cue.loops, "files": [take.path for take in cue.takes]}


def template(name: str) -> str:
    """A script that is the same for every folder of assets."""
    return (resources("woosh.engines") / "templates" / name).read_text(encoding="utf-8")
