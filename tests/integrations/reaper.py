"""A stand-in for REAPER: a project of tracks, items and takes, and what the script calls to change it."""

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import soundfile

from tests.paths import ROOT

SCRIPT = ROOT / "integrations" / "reaper" / "woosh.lua"


@dataclass(eq=False)
class Thing:
    """A track, item, take or source."""

    values: dict[str, Any] = field(default_factory=dict)
    parts: list[Any] = field(default_factory=list)


@dataclass
class Reaper:
    """A project, its user, and what was told and called.

    Attributes:
        folder: of the project's media, and of REAPER's own files.
        choice: of the menu, from 1.
        inputs: what the user types.
        region: from where to where the region at the cursor reaches.
        selection: of time.
    """

    folder: Path
    choice: int
    inputs: list[str] | None
    region: tuple[float, float] | None = None
    selection: tuple[float, float] = (0.0, 0.0)
    settings: dict[str, str] = field(default_factory=dict)
    tracks: list[Thing] = field(default_factory=list)
    selected: Thing | None = None
    boxes: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)  # curl's settings of each call
    undone: list[str] = field(default_factory=list)
    help: list[str] = field(default_factory=list)
    waiting: list[Callable[[], None]] = field(default_factory=list)
    ends: list[Callable[[], None]] = field(default_factory=list)
    patience: int = 10**9  # rounds after which the script is ended from outside

    @property
    def items(self) -> list[Thing]:
        """Of all tracks."""
        return [item for track in self.tracks for item in track.parts]

    def add_item(self, path: Path, position: float, length: float, kind: str) -> Thing:
        """An item that is there before the script runs."""
        source = Thing({"file": str(path), "kind": kind})
        take = Thing({"source": source, "D_STARTOFFS": 0.0, "D_PLAYRATE": 1.0})
        item = Thing({"D_POSITION": position, "D_LENGTH": length}, [take])
        self.tracks.append(Thing(parts=[item]))
        return item

    def run(self, runtime: Any) -> None:
        """Run the script to its end, as REAPER would."""
        lua = runtime(unpack_returned_tuples=True)
        names = [name.removeprefix("on_") for name in dir(self) if name.startswith("on_")]
        calls = {name: getattr(self, f"on_{name}") for name in names}
        lua.globals()["reaper"] = lua.table_from(calls)
        window = {"mouse_x": 0, "mouse_y": 0}
        window |= {"init": lambda *_: None, "quit": lambda: None, "showmenu": lambda _: self.choice}
        lua.globals()["gfx"] = lua.table_from(window)
        lua.execute(SCRIPT.read_text())
        for _ in range(self.patience):
            if not self.waiting:
                break
            time.sleep(0.01)
            self.waiting.pop(0)()
        for end in self.ends:
            end()

    def on_ExecProcess(self, line: str, _milliseconds: float) -> str:
        match = re.fullmatch(r'(\S+) -q -K "([^"]+)"', line)
        assert match, f"words of a user on the command line: {line}"
        self.calls.append(Path(match[2]).read_text(encoding="utf-8"))
        done = subprocess.run([match[1], "-q", "-K", match[2]], capture_output=True, text=True)
        return f"{done.returncode}\n{done.stderr}{done.stdout}"

    def on_GetUserInputs(self, _title: str, count: int, captions: str, _values: str) -> Any:
        assert len(captions.split(",")) == count + 2  # the width, and the sign between values
        return (self.inputs is not None, "\n".join(self.inputs or []))

    def on_GetExtState(self, section: str, name: str) -> str:
        return self.settings.get(f"{section}.{name}", "")

    def on_SetExtState(self, section: str, name: str, value: str, _keep: bool) -> None:
        self.settings[f"{section}.{name}"] = value

    def on_GetResourcePath(self) -> str:
        return str(self.folder / "REAPER of a user")

    def on_RecursiveCreateDirectory(self, path: str, _ignored: int) -> None:
        Path(path).mkdir(parents=True, exist_ok=True)

    def on_GetProjectPath(self) -> str:
        return str(self.folder)

    def on_file_exists(self, path: str) -> bool:
        return Path(path).is_file()

    def on_GetOS(self) -> str:
        return "Other"

    def on_time_precise(self) -> float:
        return 50 * time.monotonic()  # so that nobody waits for half a second

    def on_defer(self, action: Callable[[], None]) -> None:
        self.waiting.append(action)

    def on_atexit(self, action: Callable[[], None]) -> None:
        self.ends.append(action)

    def on_Help_Set(self, text: str, _passing: bool) -> None:
        self.help.append(text)

    def on_ShowMessageBox(self, text: str, _title: str, _kind: int) -> None:
        self.boxes.append(text)

    def on_GetSet_LoopTimeRange(self, *_: Any) -> tuple[float, float]:
        return self.selection

    def on_GetCursorPosition(self) -> float:
        return 2.5

    def on_GetLastMarkerAndCurRegion(self, _project: int, _time: float) -> tuple[int, int]:
        return (-1, 0 if self.region else -1)

    def on_EnumProjectMarkers(self, index: int) -> Any:
        assert index == 0 and self.region
        return (1, True, *self.region, "a region", 1)

    def on_GetSelectedTrack(self, _project: int, index: int) -> Thing | None:
        return self.tracks[index] if index < len(self.tracks) else None

    def on_ValidatePtr2(self, _project: int, thing: Thing, kind: str) -> bool:
        takes = [take for item in self.items for take in item.parts]
        kinds = {"MediaTrack*": self.tracks, "MediaItem*": self.items, "MediaItem_Take*": takes}
        return thing in kinds[kind]

    def on_CountTracks(self, _project: int) -> int:
        return len(self.tracks)

    def on_GetTrack(self, _project: int, index: int) -> Thing:
        return self.tracks[int(index)]

    def on_InsertTrackAtIndex(self, index: int, _defaults: bool) -> None:
        self.tracks.insert(index, Thing())

    def on_GetSelectedMediaItem(self, _project: int, _index: int) -> Thing | None:
        return self.selected

    def on_CountMediaItems(self, _project: int) -> int:
        return len(self.items)

    def on_GetMediaItem(self, _project: int, index: int) -> Thing:
        return self.items[int(index)]

    def on_AddMediaItemToTrack(self, track: Thing) -> Thing:
        track.parts.append(Thing())
        return track.parts[-1]

    def on_AddTakeToMediaItem(self, item: Thing) -> Thing:
        item.parts.append(Thing({"D_STARTOFFS": 0.0, "D_PLAYRATE": 1.0}))
        return item.parts[-1]

    def on_CountTakes(self, item: Thing) -> int:
        return len(item.parts)

    def on_GetTake(self, item: Thing, index: int) -> Thing:
        return item.parts[int(index)]

    def on_GetActiveTake(self, item: Thing) -> Thing | None:
        return item.parts[0] if item.parts else None

    def on_PCM_Source_CreateFromFile(self, path: str) -> Thing:
        return Thing({"file": path, "kind": "WAVE"})

    def on_SetMediaItemTake_Source(self, take: Thing, source: Thing) -> None:
        take.values["source"] = source

    def on_GetMediaItemTake_Source(self, take: Thing) -> Thing:
        return take.values["source"]

    def on_GetMediaSourceParent(self, source: Thing) -> Thing | None:
        return source.values.get("parent")

    def on_GetMediaSourceFileName(self, source: Thing, _text: str) -> str:
        return source.values.get("file", "")

    def on_GetMediaSourceType(self, source: Thing, _text: str) -> str:
        return source.values["kind"]

    def on_GetMediaSourceLength(self, source: Thing) -> tuple[float, bool]:
        return (soundfile.info(source.values["file"]).duration, False)

    def on_GetMediaItemInfo_Value(self, item: Thing, name: str) -> float:
        return item.values[name]

    def on_SetMediaItemInfo_Value(self, item: Thing, name: str, value: float) -> None:
        item.values[name] = value

    def on_GetMediaItemTakeInfo_Value(self, take: Thing, name: str) -> float:
        return take.values[name]

    def on_SetMediaItemTakeInfo_Value(self, take: Thing, name: str, value: float) -> None:
        take.values[name] = value

    def on_GetSetMediaItemTakeInfo_String(
        self, take: Thing, name: str, text: str, _set: bool
    ) -> None:
        take.values[name] = text

    def on_GetSetMediaTrackInfo_String(
        self, track: Thing, name: str, text: str, _set: bool
    ) -> None:
        track.values[name] = text

    def on_Undo_BeginBlock(self) -> None:
        pass

    def on_Undo_EndBlock(self, name: str, _flags: int) -> None:
        self.undone.append(name)

    def on_UpdateArrange(self) -> None:
        pass
