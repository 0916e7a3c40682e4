"""A real server with a real model: the sounds are those of the commands, and what does not belong in stays out."""

import json
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.paths import ROOT
from tests.serving.running import Running, server, until
from woosh import audio, cli
from woosh.studio.seeds import take_seeds

LONG = {"prompt": "wind", "seconds": 60, "steps": 20}  # goes on until it is cancelled


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with server(tmp_path_factory.mktemp("server"), "--queue", "1500") as started:
        started.wait_until_ready()
        yield started


@pytest.fixture
def client(running: Running) -> httpx.Client:
    return running.client


@pytest.fixture
def rain(tmp_path: Path) -> Path:
    path = tmp_path / "rain.wav"
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 24_000))
    audio.write_audio(path, noise.astype(np.float32), 48_000, {"prompt": "rain"})
    return path


def generate(client: httpx.Client, wait: float = 120, headers: Any = None, **fields: Any):
    asked = {"prompt": "a dog barking", "seconds": 0.5, **fields}
    return client.post("/v1/generate", params={"wait": wait}, json=asked, headers=headers)


def test_a_sound_is_that_of_the_command(client: httpx.Client, tmp_path: Path) -> None:
    """Bit for bit, finishing and record included; asked for again, it is the file that was made."""
    answer = generate(client, seed=7)
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/wav"
    assert answer.headers["woosh-seed"] == "7"
    path = tmp_path / "dog.wav"
    words = ["--seconds", "0.5", "--seed", "7", "--model", "woosh-tiny-fast", "-o", str(path)]
    assert cli.main(["generate", "a dog barking", "--quiet", *words]) == 0
    assert answer.content == path.read_bytes()
    again = generate(client, seed=7)
    assert again.headers["woosh-job"] == answer.headers["woosh-job"]
    assert client.get(again.headers["content-location"]).content == answer.content
    other = generate(client, seed=7, format="flac", loudness=-30)
    assert other.headers["content-type"] == "audio/flac" and other.content != answer.content


def test_takes_are_told_while_they_are_made(client: httpx.Client) -> None:
    """A batch is what its takes are one by one; its events go from its beginning to its end."""
    job = generate(client, wait=0, seed=20, count=2).json()
    with client.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
        lines = [line for line in stream.iter_lines() if line]
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event")]
    told = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data")]
    assert names[-1] == "finished" and set(names[:-1]) <= {"queued", "started", "progress"}
    shares = [one["progress"] for one in told]
    assert shares == sorted(shares) and shares[-1] == 1 and {one["seed"] for one in told} == {20}
    takes = [client.get(sound["url"]).content for sound in told[-1]["sounds"]]
    assert [sound["seed"] for sound in told[-1]["sounds"]] == [20, 21] and takes[0] != takes[1]
    for seed, take in zip((20, 21), takes, strict=True):
        assert generate(client, seed=seed).content == take


def test_what_is_sent_again_is_not_made_again(client: httpx.Client) -> None:
    """A client that lost the answer asks with the same key; without a seed the sound would else be another one."""
    headers = {"Idempotency-Key": "one"}
    first, second = (generate(client, headers=headers, seconds=0.3) for _ in range(2))
    assert first.headers["woosh-job"] == second.headers["woosh-job"]
    assert first.content == second.content
    assert generate(client, headers=headers, seconds=0.4).status_code == 422
    wanted = {"Accept": "application/json", "Prefer": "respond-async, wait=120"}
    told = client.post("/v1/generate", json={"prompt": "rain", "seconds": 0.3}, headers=wanted)
    assert told.status_code == 200 and told.json()["state"] == "finished"


def test_sounds_are_worked_on(client: httpx.Client, rain: Path) -> None:
    """Each operation by its name; the record says what was done to which sound."""

    def ask(kind: str, **fields: Any) -> dict[str, Any]:
        files = {"sound": ("../../a rain.wav", rain.read_bytes())}
        answer = client.post(
            f"/v1/{kind}",
            params={"wait": 120},
            data=fields,
            files=files,
            headers={"Accept": "application/json"},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    edited = ask("edit", prompt="thunder", start="0.1", end="0.3", seed="5")["sounds"][0]
    assert edited["seconds"] == 0.5
    assert (edited["record"]["edited"], edited["record"]["parts"]) == ("a-rain.wav", "0.1-0.3")
    longer = ask("extend", seconds="0.8", format="flac")["sounds"][0]
    assert longer["seconds"] == 0.8 and longer["record"]["prompt"] == "rain"
    assert longer["media_type"] == "audio/flac"
    varied = ask("vary", similarity="0.5", count="2", seed="3")["sounds"]
    assert varied[0]["seed"] == 3 and varied[1]["seed"] in take_seeds(4)
    heard = ask("tag", k="2")["found"]
    assert heard["file"] == "a-rain.wav" and len(heard["labels"]) == 2
    words = {"prompt": "wind", "seconds": "0.6", "stereo": "true"}
    loop = client.post("/v1/loop", params={"wait": 120}, data=words)
    assert loop.status_code == 200, loop.text


def test_another_service_by_its_address(client: httpx.Client, tmp_path: Path) -> None:
    """What its clients send besides is passed over; they get MP3 at the rate that they know."""
    asked = {"text": "a dog barking", "duration_seconds": 0.5, "model_id": "x", "loop": False}
    answer = client.post("/v1/sound-generation", json={**asked, "prompt_influence": 0.6})
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/mpeg"
    path = tmp_path / "dog.mp3"
    path.write_bytes(answer.content)
    assert audio.read_audio(path, 44_100).shape[1] > 1000
    record = audio.read_metadata(path)
    assert record["guidance"] > 6  # the model's own, at .3
    assert (
        client.post("/v1/sound-generation", json={"text": "x", "duration_seconds": 99}).status_code
        == 422
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"prompt": ""}, "prompt: String should have at least 1 character"),
        ({"prompt": " "}, "is empty"),
        ({"prompt": "x" * 1001}, "at most 1000"),
        ({"prompt": "\U0001f415" * 600}, "shorter prompt"),
        ({"seconds": 601}, "seconds: "),
        ({"seconds": "nan"}, "seconds: "),
        ({"steps": 0}, "steps: "),
        ({"seed": -1}, "seed: "),
        ({"seed": 2**63}, "seed: "),
        ({"model": "/etc"}, "there is no model of that name here: there is woosh-tiny-fast"),
        ({"model": "woosh-small"}, "there is no model of that name here"),
        ({"negative_prompt": "music"}, "take no negative prompt"),
        ({"format": "exe"}, "format: "),
        ({"format": "mp3", "depth": 24}, "lossy"),
        ({"path": "/etc/passwd"}, "path: Extra inputs are not permitted"),
        ({"count": 16, "steps": 1000}, "ask for fewer seconds, steps or sounds"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(
    client: httpx.Client, fields: dict[str, Any], reason: str
) -> None:
    answer = generate(client, **fields)
    assert answer.status_code == 422 and reason in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"] and str(ROOT) not in answer.text


def test_hostile_uploads_are_refused(client: httpx.Client, running: Running, rain: Path) -> None:
    """Damaged files fail in a worker, which lives on; no path of this machine is told, and no upload stays."""
    whole = rain.read_bytes()
    broken = {
        "playlist": b"#EXTM3U\n/etc/passwd\n",
        "nothing": b"",
        "cut": whole[: len(whole) // 2],
        "header alone": whole[:40],
        "longer than it is": whole[:4] + b"\xff\xff\xff\x7f" + whole[8:40],
        "flac of nonsense": b"fLaC" + bytes(range(256)) * 20,
        "ogg of nonsense": b"OggS" + bytes(1000),
        "mp3 of nonsense": b"\xff\xfb" + bytes(5000),
    }
    before = running.workers
    for name, content in broken.items():
        answer = client.post(
            "/v1/tag", params={"wait": 120}, files={"sound": (f"{name}.wav", content)}
        )
        assert answer.status_code == 422, (name, answer.text)
        assert str(running.folder) not in answer.text, (name, answer.text)
    assert client.post("/v1/edit", data={"prompt": "x"}, files={}).status_code == 422
    shorter = client.post("/v1/extend", data={"seconds": "0.1"}, files={"sound": whole})
    place = shorter.headers["location"]
    until(lambda: client.get(place).json()["state"] == "failed")
    assert "ask for more" in client.get(place).json()["error"]
    assert running.workers == before
    until(lambda: not list((running.folder / "uploads").iterdir()))


def test_a_job_is_cancelled_at_once(client: httpx.Client, running: Running) -> None:
    """Whether it runs or waits: the worker turns to the next one."""
    first = generate(client, wait=0, **LONG).json()["id"]
    until(lambda: client.get(f"/v1/jobs/{first}").json()["state"] == "running")
    waits = generate(client, wait=0, seconds=0.3).json()["id"]
    assert client.delete(f"/v1/jobs/{waits}").json()["state"] == "cancelled"
    heard: list[str] = []

    def listen() -> None:
        heard.append(httpx.get(f"{running.address}/v1/jobs/{first}/events", timeout=300).text)

    thread = threading.Thread(target=listen)
    thread.start()
    assert client.delete(f"/v1/jobs/{first}").json()["state"] == "cancelled"
    thread.join()
    assert heard[0].count("event: cancelled") == 1
    assert client.get(f"/v1/jobs/{first}/audio/0").status_code == 404
    assert generate(client, seconds=0.3, seed=1).status_code == 200
    assert client.delete(f"/v1/jobs/{first}").json()["state"] == "cancelled"


def test_too_much_is_refused_for_the_moment(client: httpx.Client) -> None:
    first = generate(client, wait=0, **LONG)
    assert first.status_code == 202 and first.json()["state"] in ("queued", "running")
    full = generate(client, wait=0, **LONG)
    assert full.status_code == 429 and int(full.headers["retry-after"]) >= 1
    assert "ask again in" in full.json()["detail"]
    client.delete(first.headers["location"])
    later = generate(client, wait=0, **LONG)
    assert later.status_code == 202
    client.delete(later.headers["location"])


def test_what_the_server_tells_of_itself(client: httpx.Client) -> None:
    assert generate(client, seed=8, seconds=0.3).status_code == 200
    assert client.get("/v1/health").json()["status"] == "ready"
    models = client.get("/v1/models").json()
    assert models["default"] == "woosh-tiny-fast" and len(models["models"]) == 1
    metrics = client.get("/v1/metrics").text
    assert re.search(r'^woosh_jobs\{state="finished"\} [1-9]', metrics, re.MULTILINE)
    assert "woosh_workers_ready 1.0" in metrics
    assert client.get("/v1/jobs/nothing").status_code == 404
    assert client.get("/v1/jobs/nothing/audio/0").status_code == 404
    assert client.get("/v1/jobs/nothing/events").status_code == 404
    assert client.delete("/v1/jobs/nothing").status_code == 404
    assert client.get("/docs").status_code == 404
    assert client.post("/v1/generate", content=b"{" * 70_000).status_code == 413
    assert client.post("/v1/generate", content=b"{").status_code == 422
    assert "access-control-allow-origin" not in client.get("/v1/models").headers
    assert client.get("/v1/models", headers={"Origin": "https://example.org"}).status_code == 403


def test_what_the_page_says_works(running: Running, tmp_path: Path) -> None:
    """Every command of docs/serving.md that asks a server, as it stands there but for the address."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    commands = [
        line
        for block in blocks
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("curl ")
    ]
    assert len(commands) >= 4
    variables: dict[str, str] = {}
    for command in commands:
        for name, value in variables.items():
            command = command.replace(name, value)
        words = shlex.split(command.replace("http://127.0.0.1:8765", running.address))
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, (command, done.stderr)
        assert "detail" not in done.stdout, (command, done.stdout)
        found = re.search(r'"id":"([^"]+)"', done.stdout)
        if found:
            variables["JOB"] = found[1]
    for path in tmp_path.glob("*.wav"):
        assert audio.read_audio(path).shape[1] > 0
