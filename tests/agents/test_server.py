"""`woosh mcp` as a client of the protocol sees it: a process of its own, spoken to by the SDK's client."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult

from tests.paths import ROOT
from tests.sounds import write_sounds
from tests.videos import steady_times, write_video
from woosh import audio, cli
from woosh.video import open_video

TOOLS = {"generate", "vary", "loop", "edit", "dub", "search", "tag", "models"}
READING = {"search", "tag", "models"}
SOUND = {
    "path",
    "seconds",
    "sample_rate",
    "channels",
    "loudness",
    "seed",
    "record",
    "notes",
}


@dataclass
class Talk:
    """What was said in a conversation with a server."""

    folder: Path
    answers: dict[str, CallToolResult] = field(default_factory=dict)
    progress: list[tuple[float, float | None, str | None]] = field(default_factory=list)
    tools: dict[str, Any] = field(default_factory=dict)
    noise: list[object] = field(default_factory=list)

    def sounds(self, name: str) -> list[dict[str, Any]]:
        """The files of an answer."""
        content = self.answers[name].structured_content
        assert content is not None, self.answers[name].content
        return content["sounds"]

    def refusal(self, name: str) -> str:
        """Why a call was refused."""
        answer = self.answers[name]
        assert answer.is_error
        return answer.content[0].text  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Talk:
    """One conversation: a process takes seconds to start."""
    talk = Talk(tmp_path_factory.mktemp("agents"))
    library = write_sounds(talk.folder / "library", range(3), seconds=1.2)
    assert cli.main(["index", str(library), "--model", "log-mel"]) == 0
    write_video(library / "film.mp4", steady_times(Fraction(25), 0.6))
    (talk.folder / "secret").mkdir()
    audio.write_audio(talk.folder / "secret" / "a.wav", np.zeros((1, 48_000), np.float32))
    anyio.run(_converse, talk)
    return talk


async def _converse(talk: Talk) -> None:
    options = ["--output", "out", "--allow", "library", "--index", "library", "--longest", "8"]
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "woosh", "mcp", *options, "--most", "3", "--model", "woosh-tiny-fast"],
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=talk.folder,
    )

    async def heard(message: object) -> None:
        if isinstance(message, Exception):  # what is no message of the protocol
            talk.noise.append(message)

    async def told(done: float, total: float | None, message: str | None) -> None:
        talk.progress.append((done, total, message))

    async with Client(server, message_handler=heard) as client:
        talk.tools = {tool.name: tool for tool in (await client.list_tools()).tools}

        async def ask(
            key: str, tool: str, progress: Callable[..., Any] | None = None, /, **arguments: Any
        ) -> None:
            talk.answers[key] = await client.call_tool(tool, arguments, progress_callback=progress)

        rain = {"prompt": "rain", "seconds": 0.6}
        await ask("generate", "generate", told, **rain, count=2, seed=7)
        await ask(
            "again", "generate", **rain, seed=8, name="../../Ünsafe: name?", file_format="flac"
        )
        first = talk.sounds("generate")[0]["path"]
        await ask("vary", "vary", path=first, similarity=0.5, count=1, seed=3)
        await ask("edit", "edit", path="library/clip-0.wav", prompt="hail", start=0.2, stop=0.3)
        await ask("circle", "loop", prompt="wind", seconds=0.7, seed=1)
        await ask("cut", "loop", path="library/clip-1.wav")
        await ask("dub", "dub", path="library/film.mp4", prompt="steps", seed=4)
        await ask("search", "search", path="library/clip-2.wav", count=2)
        await ask("tag", "tag", path=first, count=3)
        await ask("models", "models")
        await ask("other folder", "tag", path="secret/a.wav")
        await ask("gone", "vary", path="library/gone.wav")
        await ask("too long", "generate", prompt="rain", seconds=8.5)
        await ask("too many", "generate", prompt="rain", count=4)
        await ask("no words", "generate", prompt=" ")
        await ask("no part", "edit", path=first, prompt="hail")
        await ask("half a part", "edit", path=first, prompt="hail", start=0.1)
        await ask("format", "generate", prompt="rain", file_format="aiff")
        await ask("both", "search", text="rain", path=first)
        await ask("type", "generate", prompt="rain", seconds="long")
        await _cancel(client, talk)
        await ask("after", "generate", **rain, seed=7)


async def _cancel(client: Client, talk: Talk) -> None:
    """Ask for three long sounds, and take it back once the first has begun."""
    begun = anyio.Event()

    async def told(*_: object) -> None:
        begun.set()

    async with anyio.create_task_group() as group:

        async def ask() -> None:
            arguments = {"prompt": "rain", "seconds": 8.0, "count": 3, "name": "taken-back"}
            talk.answers["taken back"] = await client.call_tool(
                "generate", arguments, progress_callback=told
            )

        group.start_soon(ask)
        await begun.wait()
        group.cancel_scope.cancel()


def test_every_tool_tells_what_it_takes_and_gives(talk: Talk) -> None:
    """A client shows and checks arguments by their schema, and asks before a call that is not marked as reading."""
    assert talk.tools.keys() == TOOLS
    for name, tool in talk.tools.items():
        assert tool.description and tool.output_schema["type"] == "object", name
        assert tool.annotations.read_only_hint == (name in READING), name
        assert tool.annotations.open_world_hint is False, name
        for argument, schema in tool.input_schema["properties"].items():
            assert schema["description"], f"{name}: {argument}"


def test_sounds_come_as_files_with_their_record(talk: Talk) -> None:
    first, second = talk.sounds("generate")
    assert first.keys() == SOUND
    assert (first["seed"], second["seed"]) == (7, 8)
    for sound, name in ((first, "rain.wav"), (second, "rain-2.wav")):
        assert sound["path"] == str(talk.folder.resolve() / "out" / name)
        assert audio.read_metadata(sound["path"]) == sound["record"]
        assert sound["seconds"] == pytest.approx(audio.audio_seconds(Path(sound["path"])))
        assert sound["loudness"] == pytest.approx(-23, abs=0.5)
    assert first["record"]["prompt"] == "rain" and first["record"]["model"] == "woosh-tiny-fast"


def test_a_seed_repeats_and_a_name_stays_in_the_folder(talk: Talk) -> None:
    """Neither folders nor other signs of a name survive, and what is there already stays."""
    (again,) = talk.sounds("again")
    assert Path(again["path"]) == talk.folder.resolve() / "out" / "ünsafe-name.flac"
    second = audio.read_audio(talk.sounds("generate")[1]["path"])
    assert np.abs(audio.read_audio(again["path"]) - second).max() < 2**-15  # 24 bits both
    (after,) = talk.sounds("after")
    assert Path(after["path"]).name == "rain-3.wav"
    assert Path(after["path"]).read_bytes() == Path(talk.sounds("generate")[0]["path"]).read_bytes()


def test_progress_is_told_up_to_the_end(talk: Talk) -> None:
    done = [part for part, _, _ in talk.progress]
    assert done == sorted(done) and done[0] == 0 and done[-1] == 2
    assert {total for _, total, _ in talk.progress} == {2}
    assert {message for _, _, message in talk.progress} == {"sound 1 of 2", "sound 2 of 2"}


def test_what_is_made_of_a_sound_keeps_what_was_known_of_it(talk: Talk) -> None:
    (varied,), (edited,) = talk.sounds("vary"), talk.sounds("edit")
    assert varied["record"]["operations"] == "vary" and varied["record"]["prompt"] == "rain"
    assert varied["record"]["from"] == "rain.wav" and varied["seed"] == 3
    assert edited["record"]["operations"] == "edit" and edited["record"]["prompt"] == "hail"
    assert "hardly follows" in edited["notes"][0]
    before = audio.read_audio(talk.folder / "library" / "clip-0.wav")
    after = audio.read_audio(edited["path"])
    assert np.array_equal(before[:, : round(0.16 * 48_000)], after[:, : round(0.16 * 48_000)])
    assert not np.array_equal(before, after)


def test_loops_say_how_they_close(talk: Talk) -> None:
    (circle,), (cut,) = talk.sounds("circle"), talk.sounds("cut")
    assert circle["seconds"] == pytest.approx(0.7) and circle["record"]["loop"] == "circle"
    assert cut["record"]["looped"] == "clip-1.wav"
    for sound in (circle, cut):
        assert b"smpl" in Path(sound["path"]).read_bytes()
        assert sound["notes"][0].startswith(f"seam ({sound['record']['loop']})")


def test_a_video_gets_its_sound(talk: Talk) -> None:
    (film,) = talk.sounds("dub")
    assert Path(film["path"]).name == "film-dubbed.mp4"
    assert open_video(Path(film["path"])).seconds == pytest.approx(0.6, abs=0.05)
    assert film["record"]["video"] == "film.mp4" and film["record"]["model"] == "woosh-small-video"


def test_the_library_is_searched_and_files_are_heard(talk: Talk) -> None:
    found, heard = (talk.answers[name].structured_content for name in ("search", "tag"))
    assert found is not None and heard is not None
    assert [Path(match["path"]).name for match in found["matches"]][0] == "clip-2.wav"
    assert found["matches"][0]["score"] == pytest.approx(1, abs=1e-3)
    assert len(heard["labels"]) == 3 and heard["seconds"] == talk.sounds("generate")[0]["seconds"]


def test_models_tell_the_bounds(talk: Talk) -> None:
    known = talk.answers["models"].structured_content
    assert known is not None
    assert {model["name"] for model in known["models"] if model["used"]} == {
        "woosh-tiny-fast",
        "woosh-small-video",
    }
    assert (known["longest_seconds"], known["most_sounds"]) == (8, 3)
    library = str((talk.folder / "library").resolve())
    assert known["output"] == str(talk.folder.resolve() / "out")
    assert set(known["readable"]) == {known["output"], library}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("other folder", "outside of what this server reads"),
        ("gone", "no file"),
        ("too long", "8.5 s are more than the 8 s that this server takes"),
        ("too many", "count must be from 1 to 3, not 4"),
        ("no words", "the prompt is empty"),
        ("no part", "say which part with start and stop"),
        ("half a part", "name both, or none"),
        ("format", "format must be one of wav, flac, ogg, opus, mp3, not 'aiff'"),
        ("both", "either a text or the path of a sound"),
        ("type", "valid number"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name: str, words: str, talk: Talk) -> None:
    """An agent reads the message and tries again: it says what was wrong, and nothing of the program's inside."""
    refusal = talk.refusal(name)
    assert words in refusal and "Traceback" not in refusal


def test_a_call_that_is_taken_back_ends_and_the_server_goes_on(talk: Talk) -> None:
    """The first sound is given up in one of its steps; nothing half made stays."""
    assert "taken back" not in talk.answers
    written = {path.name for path in (talk.folder / "out").iterdir()}
    assert not any(name.startswith(("taken-back", ".")) for name in written), written
    assert talk.sounds("after")


def test_the_output_carries_the_protocol_alone(talk: Talk) -> None:
    assert not talk.noise
