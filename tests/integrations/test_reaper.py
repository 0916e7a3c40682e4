"""The script for REAPER, run by Lua on a stand-in for REAPER: what it asks of a server, and what becomes of the answers."""

import email
import io
import json
import re
import shutil
import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from lupa import lua53, lua54

from tests.integrations.reaper import SCRIPT, Reaper, Thing
from tests.serving.running import server
from tests.sounds import write_sounds
from tests.videos import steady_times, write_video
from woosh import audio
from woosh.serving.shapes import Dub, Generate, Vary

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the script calls curl")
RUNTIMES = {"5.3": lua53.LuaRuntime, "5.4": lua54.LuaRuntime}  # of REAPER 6 and 7
GENERATE, VARY, DUB, SERVER = 1, 2, 3, 4
HOSTILE = 'a "dog"\\ barking; @/etc/passwd `id` $HOME %s\t<ü>\u2028🐕'


class Recorded(ThreadingHTTPServer):
    """A server that answers as docs/serving.md says, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.asked: list[tuple[str, str]] = []  # method and path
        self.request: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        self.upload = b""
        self.state = "finished"
        self.error: str | None = None
        self.name = "a-dog-1.wav"
        self.url = "/v1/jobs/mV0-_9/audio/{}"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def job(self, state: str) -> dict[str, Any]:
        sounds = [
            {"url": self.url.format(number), "name": self.name, "seconds": 0.5}
            for number in range(int(self.request.get("count", 1)))
        ]
        done = state == "finished"
        return {
            "id": "mV0-_9",
            "kind": "generate",
            "state": state,
            "progress": 1.0 if done else 0.25,
            "error": self.error,
            "sounds": sounds if done else [],
            "found": None,
        }


class Answering(BaseHTTPRequestHandler):
    server: Recorded  # type: ignore[assignment]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(("POST", self.path))
        self.server.headers = dict(self.headers)
        kind = self.headers["Content-Type"]
        if kind == "application/json":
            self.server.request = json.loads(body)
        else:
            parts = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
            fields: dict[str, str] = {}
            for part in parts.get_payload():
                name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr]
                content = part.get_payload(decode=True)  # type: ignore[union-attr]
                if name in ("sound", "video"):
                    self.server.upload = content  # type: ignore[assignment]
                else:
                    fields[str(name)] = content.decode()  # type: ignore[union-attr]
            self.server.request = fields
        if self.server.state == "refused":
            self.answer(422, {"detail": 'prompt: it is too "loud"'})
        else:
            self.answer(202, self.server.job("queued"))

    def do_GET(self) -> None:
        self.server.asked.append(("GET", self.path))
        if self.path.endswith("/audio/0") or re.search(r"/audio/\d+$", self.path):
            file = io.BytesIO()
            soundfile.write(file, np.full(24_000, 0.1), 48_000, format="WAV")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(file.getvalue())
        else:
            self.answer(200, self.server.job(self.server.state))

    def do_DELETE(self) -> None:
        self.server.asked.append(("DELETE", self.path))
        self.answer(200, self.server.job("cancelled"))

    def answer(self, status: int, value: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    with Recorded() as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield http
        http.shutdown()
        thread.join()


def reaper(
    folder: Path, address: str, choice: int, inputs: list[str] | None, **more: Any
) -> Reaper:
    return Reaper(folder, choice, inputs, settings={"woosh.address": address}, **more)


def files(item: Thing) -> list[str]:
    return [Path(take.values["source"].values["file"]).name for take in item.parts]


@pytest.mark.parametrize("version", RUNTIMES)
def test_takes_are_made_at_the_cursor(version: str, recorded: Recorded, tmp_path: Path) -> None:
    """Whatever is typed arrives as it was typed, and never on a command line; nothing stays of the calls."""
    project = reaper(tmp_path, recorded.address, GENERATE, [HOSTILE, "2", "1.5"])
    project.run(RUNTIMES[version])
    assert not project.boxes
    assert recorded.asked[0] == ("POST", "/v1/generate")
    assert recorded.request == {"prompt": HOSTILE, "count": 2, "seconds": 1.5}
    Generate.model_validate({**recorded.request, "prompt": "a dog"})
    (item,) = project.items
    assert files(item) == ["a-dog-1.wav", "a-dog-1-2.wav"]
    assert (item.values["D_POSITION"], item.values["D_LENGTH"]) == (2.5, 0.5)
    assert (
        project.undone == ["Woosh: generate"]
        and project.help[0] == "Woosh: 0 %"
        or "25" in project.help[0]
    )
    assert not list((tmp_path / "REAPER of a user" / "Data" / "woosh").iterdir())


def test_a_time_selection_is_filled(recorded: Recorded, tmp_path: Path) -> None:
    """As long as it is, to the sample."""
    project = reaper(tmp_path, recorded.address, GENERATE, ["rain", "1"], selection=(4.0, 6.5))
    project.run(lua54.LuaRuntime)
    assert recorded.request == {"prompt": "rain", "count": 1, "seconds": 2.5, "keep_length": True}
    (item,) = project.items
    assert (item.values["D_POSITION"], item.values["D_LENGTH"]) == (4.0, 2.5)


def test_variations_become_takes_of_the_item(recorded: Recorded, tmp_path: Path) -> None:
    """The file behind a section is sent, whatever its name; takes begin in it where the first one does."""
    name = tmp_path / 'a "b";c,d=e.wav'
    write_sounds(tmp_path / "sounds", range(1))
    shutil.copyfile(tmp_path / "sounds" / "clip-0.wav", name)
    project = reaper(tmp_path, recorded.address, VARY, ["3", "0.5"])
    item = project.selected = project.add_item(name, 1.0, 0.4, "WAVE")
    (take,) = item.parts
    take.values["source"] = Thing({"kind": "SECTION", "parent": take.values["source"]})
    take.values["D_STARTOFFS"] = 0.1
    project.run(lua54.LuaRuntime)
    assert not project.boxes
    assert recorded.asked[0] == ("POST", "/v1/vary")
    assert Vary.model_validate(recorded.request) == Vary(count=3, similarity=0.5)
    assert recorded.upload == name.read_bytes()
    assert len(item.parts) == 4 and item.values["D_LENGTH"] == 0.4
    assert [take.values["D_STARTOFFS"] for take in item.parts] == [0.1] * 4


def test_the_video_of_a_region_gets_its_sound(recorded: Recorded, tmp_path: Path) -> None:
    """The part of the file that is heard at the region, at the item's own rate, on a track of its own."""
    film = (
        write_video(tmp_path / "film.mp4", steady_times(Fraction(25), 1.0)) or tmp_path / "film.mp4"
    )
    project = reaper(tmp_path, recorded.address, DUB, ["", "2"], region=(12.0, 13.0))
    item = project.add_item(Path(film), 10.0, 20.0, "VIDEO")
    item.parts[0].values |= {"D_STARTOFFS": 3.0, "D_PLAYRATE": 2.0}
    project.run(lua54.LuaRuntime)
    assert not project.boxes
    asked = Dub.model_validate(recorded.request)
    assert (asked.start, asked.seconds, asked.count, asked.format) == (7.0, 2.0, 2, "wav")
    assert recorded.upload == (tmp_path / "film.mp4").read_bytes()
    assert project.tracks[-1].values["P_NAME"] == "Woosh"
    (made,) = project.tracks[-1].parts
    assert (made.values["D_POSITION"], made.values["D_LENGTH"]) == (12.0, 1.0)
    assert [take.values["D_PLAYRATE"] for take in made.parts] == [2.0, 2.0]


def test_the_token_is_sent_and_the_address_kept(recorded: Recorded, tmp_path: Path) -> None:
    project = reaper(tmp_path, "", SERVER, [f"{recorded.address}//", 'to"ken'])
    project.run(lua54.LuaRuntime)
    assert project.settings["woosh.address"] == recorded.address
    project.choice, project.inputs = GENERATE, ["rain", "1", "1"]
    project.run(lua54.LuaRuntime)
    assert recorded.headers["Authorization"] == 'Bearer to"ken'


PROBLEMS = {
    "refused": (
        {"state": "refused"},
        ["rain", "1", "1"],
        'the server answers 422: prompt: it is too "loud"',
    ),
    "failed": ({"state": "failed", "error": "no sound"}, ["rain", "1", "1"], "no sound"),
    "takes": ({}, ["rain", "17", "1"], "takes must be a number from 1 to 16, not 17"),
    "seconds": ({}, ["rain", "1", "long"], "seconds must be a number from 0.01 to 600, not long"),
    "elsewhere": ({"url": "/v1/../x/{}"}, ["rain", "1", "1"], "names a sound at a strange place"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_what_goes_wrong_is_told_in_one_box(case: str, recorded: Recorded, tmp_path: Path) -> None:
    answers, inputs, words = PROBLEMS[case]
    for name, value in answers.items():
        setattr(recorded, name, value)
    project = reaper(tmp_path, recorded.address, GENERATE, inputs)
    project.run(lua54.LuaRuntime)
    (box,) = project.boxes
    assert words in box and "woosh.lua" not in box and not project.items


def test_without_a_server_a_selection_or_an_answer_nothing_happens(tmp_path: Path) -> None:
    project = reaper(tmp_path, "http://127.0.0.1:1", GENERATE, ["rain", "1", "1"])
    project.run(lua54.LuaRuntime)
    assert "start it with `woosh serve`" in project.boxes.pop()
    project.choice = VARY
    project.run(lua54.LuaRuntime)
    assert project.boxes.pop() == "select an item with a sound first"
    project.choice = DUB
    project.run(lua54.LuaRuntime)
    assert project.boxes.pop() == "put the cursor into a region, or select a time"
    project.choice, project.inputs, project.calls = GENERATE, None, []
    project.run(lua54.LuaRuntime)
    assert not project.boxes and not project.calls and not project.tracks


def test_a_names_folder_and_signs_stay_out(recorded: Recorded, tmp_path: Path) -> None:
    """A server elsewhere names files as it likes; they land in the project's folder."""
    recorded.name = '../..\\x/"y".wav'
    project = reaper(tmp_path, recorded.address, GENERATE, ["rain", "1", "1"])
    project.run(lua54.LuaRuntime)
    (item,) = project.items
    (name,) = files(item)
    assert (tmp_path / name).is_file() and name == "-..-x--y-.wav"


def test_a_script_that_is_ended_takes_its_job_back(recorded: Recorded, tmp_path: Path) -> None:
    recorded.state = "running"
    project = reaper(tmp_path, recorded.address, GENERATE, ["rain", "1", "1"], patience=3)
    project.run(lua54.LuaRuntime)
    assert recorded.asked[-1] == ("DELETE", "/v1/jobs/mV0-_9") and not project.items


def test_the_index_of_reapack_names_the_script() -> None:
    """Its version is the script's own, or ReaPack offers no update."""
    root = ElementTree.parse(SCRIPT.with_name("index.xml")).getroot()
    (version,) = root.iter("version")
    (source,) = version.iter("source")
    head = SCRIPT.read_text()
    assert f"@version {version.get('name')}\n" in head
    (package,) = root.iter("reapack")
    assert package.get("type") == "script" and f"@description {package.get('desc')}\n" in head
    assert source.get("main") == "main" and str(source.text).endswith(f"/{SCRIPT.name}")


def test_what_is_gone_when_the_sounds_come_is_told_or_replaced(
    recorded: Recorded, tmp_path: Path
) -> None:
    """The user works on while a job is at work."""
    project = reaper(tmp_path, recorded.address, VARY, ["1", "0.7"])
    write_sounds(tmp_path, range(1))
    project.selected = project.add_item(tmp_path / "clip-0.wav", 0.0, 0.5, "WAVE")
    help_shown = project.on_Help_Set

    def remove(text: str, passing: bool) -> None:
        project.tracks.clear()
        help_shown(text, passing)

    project.on_Help_Set = remove  # type: ignore[method-assign]
    project.run(lua54.LuaRuntime)
    assert "the item is no longer there" in project.boxes.pop()
    assert (tmp_path / recorded.name).is_file()
    project.choice, project.inputs = GENERATE, ["rain", "1", "1"]
    project.tracks.append(Thing())
    project.run(lua54.LuaRuntime)
    assert not project.boxes and len(project.items) == 1


@pytest.mark.slow
def test_a_real_server_is_asked(tmp_path: Path) -> None:
    """Words, variations of what they gave, and a video: the sounds lie in the project."""
    film = tmp_path / "film.mp4"
    write_video(film, steady_times(Fraction(25), 1.0))
    models = ("--model", "woosh-small-video")
    with server(tmp_path / "server", *models) as running:
        running.wait_until_ready()
        project = reaper(tmp_path, running.address, GENERATE, ["rain", "2"], selection=(1.0, 1.6))
        project.run(lua54.LuaRuntime)
        assert not project.boxes
        (item,) = project.items
        paths = [tmp_path / name for name in files(item)]
        assert [audio.read_metadata(path)["prompt"] for path in paths] == ["rain", "rain"]
        assert [audio.audio_seconds(path) for path in paths] == pytest.approx([0.6, 0.6])
        project.choice, project.inputs, project.selected = VARY, ["1", "0.7"], item
        project.run(lua54.LuaRuntime)
        assert not project.boxes and len(item.parts) == 3
        assert audio.read_metadata(tmp_path / files(item)[2])["operations"] == "vary"
        project.choice, project.inputs = DUB, ["steps", "1"]
        project.add_item(film, 1.0, 1.0, "VIDEO")
        project.run(lua54.LuaRuntime)
        assert not project.boxes
        (made,) = project.tracks[-1].parts
        assert audio.audio_seconds(tmp_path / files(made)[0]) == pytest.approx(0.6, abs=0.05)
