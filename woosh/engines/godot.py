"""For Godot 4: how each sound is imported, and an `AudioStreamRandomizer` for each name with several takes.

Import settings are those of the documentation's classes ResourceImporterWAV, ResourceImporterOggVorbis and
ResourceImporterMP3; a file `NAME.import` without a place of the imported resource makes the editor import the sound with
the settings in it. Resources are in the text format of the page "TSCN file format".
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from woosh.engines.cues import MARK, Cue, EngineFile
from woosh.studio.manifest import Entry

NAME = "Godot"
FORMATS = ("wav", "ogg", "mp3")
IMPORTERS = {
    "wav": ("wav", "AudioStreamWAV"),
    "ogg": ("oggvorbisstr", "AudioStreamOggVorbis"),
    "mp3": ("mp3", "AudioStreamMP3"),
}
LOOP_DISABLED, LOOP_FORWARD = 1, 2  # of edit/loop_mode
NO_REPEATS = 0  # of playback_mode: at random, and not the same twice in a row


def files(cues: Sequence[Cue]) -> list[EngineFile]:
    """The files of all cues."""
    imports = [
        EngineFile(f"{take.path}.import", import_text(take)) for cue in cues for take in cue.takes
    ]
    randomizers = [
        EngineFile(f"{cue.name}.tres", randomizer_text(cue)) for cue in cues if len(cue.takes) > 1
    ]
    return imports + randomizers


def import_text(take: Entry) -> str:
    """How a sound is imported."""
    importer, kind = IMPORTERS[take.format]
    if take.format != "wav":
        settings = {"loop": str(take.loop_end is not None).lower(), "loop_offset": "0"}
    elif take.loop_end is None:
        settings = {"edit/loop_mode": LOOP_DISABLED}
    else:
        settings = {
            "edit/loop_mode": LOOP_FORWARD,
            "edit/loop_begin": take.loop_start,
            "edit/loop_end": take.loop_end,
        }
    lines = [f"{name}={value}" for name, value in settings.items()]
    head = [
        f"; {MARK}",
        "",
        "[remap]",
        "",
        f'importer="{importer}"',
        f'type="{kind}"',
        "",
        "[params]",
    ]
    return "\n".join([*head, "", *lines, ""])


def randomizer_text(cue: Cue) -> str:
    """A resource that plays one of the takes; the paths begin in its own folder."""
    kind = [IMPORTERS[take.format][1] for take in cue.takes]
    names = [take.path.rpartition("/")[2] for take in cue.takes]
    count = len(names)
    lines = [
        f'[gd_resource type="AudioStreamRandomizer" load_steps={count + 1} format=3]',
        "",
        f"; {MARK}",
        "",
        *(
            f"[ext_resource type={_quoted(kind[i])} path={_quoted(names[i])} id={_quoted(str(i + 1))}]"
            for i in range(count)
        ),
        "",
        "[resource]",
        f"playback_mode = {NO_REPEATS}",
        f"streams_count = {count}",
    ]
    for i in range(count):
        lines += [f'stream_{i}/stream = ExtResource("{i + 1}")', f"stream_{i}/weight = 1.0"]
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    """A string of Godot's text format, which knows the escapes of JSON."""
    return json.dumps(text, ensure_ascii=False)
