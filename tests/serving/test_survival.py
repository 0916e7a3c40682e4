"""What ends in the middle of the work loses nothing: the sounds are the same bits as if nothing had happened."""

import json
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import one_of
from schemathesis import GenerationMode

from tests.serving.running import Running, server, until
from woosh import cli

pytestmark = pytest.mark.slow
PROMPT = "a dog barking"
WAITS = "/v1/sound-generation"  # it answers with the sound itself
SHORTEST, LONGEST = 0.5, 30.0  # seconds that it takes


def begin(running: Running, seed: int, seconds: float, **headers: str) -> str:
    asked = {"prompt": PROMPT, "seconds": seconds, "seed": seed}
    answer = running.client.post("/v1/generate", json=asked, headers=headers)
    assert answer.status_code == 202
    return answer.json()["id"]


def state(running: Running, job: str) -> dict[str, Any]:
    return running.client.get(f"/v1/jobs/{job}").json()


def check_sound(running: Running, job: str, folder: Path) -> None:
    """The file of a job is that of the command, byte for byte."""
    until(lambda: state(running, job)["state"] not in ("queued", "running"))
    told = state(running, job)
    assert told["state"] == "finished", told
    path = folder / f"{job}.wav"
    words = ["--seconds", str(told["sounds"][0]["record"]["seconds"]), "--seed", str(told["seed"])]
    words += ["--model", "woosh-tiny-fast", "--quiet", "-o", str(path)]
    assert cli.main(["generate", PROMPT, *words]) == 0
    assert running.client.get(told["sounds"][0]["url"]).content == path.read_bytes()


def test_a_worker_and_the_server_are_killed_at_work(tmp_path: Path) -> None:
    """First the worker, then the server; what ran and what waited goes on, and an idempotency key is not forgotten."""
    folder = tmp_path / "server"
    with server(folder) as running:
        running.wait_until_ready()
        first = begin(running, 1, 8)
        second = begin(running, 2, 0.5, **{"Idempotency-Key": "second"})
        until(lambda: state(running, first)["progress"] > 0)
        (worker,) = running.workers
        # Or who asks for a sound that is there waits for others' sounds.
        assert psutil.Process(worker).nice() > psutil.Process(running.process.pid).nice()
        psutil.Process(worker).kill()
        until(lambda: worker not in running.workers)
        check_sound(running, first, tmp_path)
        third = begin(running, 3, 8)
        waiting = begin(running, 4, 0.5)
        until(lambda: state(running, third)["progress"] > 0)
        (worker,) = running.workers
        running.kill()
        until(lambda: not psutil.pid_exists(worker))  # it does not outlive the server
    with server(folder) as running:
        for job in (second, third, waiting):
            check_sound(running, job, tmp_path)
        headers = {"Idempotency-Key": "second"}
        asked = {"prompt": PROMPT, "seconds": 0.5, "seed": 2}
        again = running.client.post("/v1/generate", json=asked, headers=headers)
        assert again.json()["id"] == second
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 128 + signal.SIGTERM


def shortened(body: Any) -> Any:
    """The same request, if a sound is made of it for the shortest one, since it is waited for."""
    if not isinstance(body, dict):
        return body
    seconds = body.get("duration_seconds")
    long = seconds is None or (isinstance(seconds, int | float) and SHORTEST <= seconds <= LONGEST)
    return body | {"duration_seconds": SHORTEST} if long else body


def ask_all(operation: Any, address: str) -> None:
    """Requests of one operation, valid and not; answers are those described, and none is the server's own failure."""
    modes, described = [GenerationMode.POSITIVE], operation.definition.raw["responses"]
    if operation.method == "post":  # the words of a path cannot be wrong
        modes.append(GenerationMode.NEGATIVE)

    @given(case=one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes)))
    @settings(
        max_examples=12 * len(modes),
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        case.query.pop("wait", None)
        case.headers.pop("Prefer", None)
        if operation.path == WAITS:
            case.body = shortened(case.body)
        answer = case.call(base_url=address, timeout=60)
        told = (case.as_curl_command(), answer.status_code, answer.content[:500])
        assert answer.status_code < 500 and str(answer.status_code) in described, told
        if answer.status_code >= 400:
            assert isinstance(json.loads(answer.content)["detail"], str)

    ask()


def test_no_request_makes_the_server_fail(tmp_path: Path) -> None:
    """Requests that schemathesis makes from the server's own description."""
    with server(tmp_path, "--queue", "100") as running:
        running.wait_until_ready()
        described = schemathesis.openapi.from_dict(running.client.get("/v1/openapi.json").json())
        operations = [result.ok() for result in described.get_all_operations()]
        assert len(operations) == 16
        # What is waited for comes before others fill the queue.
        for operation in sorted(operations, key=lambda operation: operation.path != WAITS):
            ask_all(operation, running.address)
