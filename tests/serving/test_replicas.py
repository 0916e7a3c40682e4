"""The server as an application of Ray: the commands' bits from two replicas, which are killed at work."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from tests.cluster import ray_cluster
from tests.paths import ROOT
from tests.serving.objects import BUCKET, object_store
from tests.serving.postgres import postgresql
from tests.serving.running import PATIENCE, until
from woosh import cli
from woosh.serving.replicas import Arguments
from woosh.serving.store import Store

TOKEN = secrets.token_hex(16)


def configuration(folder: Path, port: int) -> Path:
    """deploy/ray.yaml with two replicas, which share the cores of a small machine."""
    values = yaml.safe_load((ROOT / "deploy" / "ray.yaml").read_text())
    values["http_options"] = {"host": "127.0.0.1", "port": port}
    (application,) = values["applications"]
    application["args"] = {"store": f"s3://{BUCKET}/woosh", "models": ["woosh-tiny-fast"]}
    front, worker = application["deployments"]
    front |= {"num_replicas": 1, "ray_actor_options": {"num_cpus": 0.1}}
    worker["autoscaling_config"] |= {"min_replicas": 2, "max_replicas": 2}
    worker["ray_actor_options"] = {"num_cpus": 0.5}
    path = folder / "ray.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@contextlib.contextmanager
def served(folder: Path, environment: dict[str, str]) -> Iterator[httpx.Client]:
    """Serve on a cluster; a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["-m", "ray.serve.scripts", "run", str(configuration(folder, port))]
    process = subprocess.Popen([sys.executable, *words], env=environment)
    try:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        address = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=address, headers=headers, timeout=PATIENCE) as client:

            def is_ready() -> bool:
                assert process.poll() is None
                with contextlib.suppress(httpx.TransportError):
                    answer = client.get("/v1/health")
                    return answer.status_code == 200 and answer.json()["workers"] == 2
                return False

            until(is_ready)
            yield client
    finally:
        process.kill()  # the application goes with its cluster
        process.wait()


def replicas() -> list[psutil.Process]:
    """The processes that make sounds."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "ServeReplica:woosh:worker" in " ".join(process.info["cmdline"] or ()):
            found.append(process)
    return found


def ask(client: httpx.Client, seed: int, seconds: float, wait: float = 0.0) -> httpx.Response:
    asked = {"prompt": "a dog barking", "seconds": seconds, "seed": seed}
    headers = {"Idempotency-Key": f"seed {seed}"}
    return client.post("/v1/generate", params={"wait": wait}, json=asked, headers=headers)


def state(client: httpx.Client, job: str) -> dict[str, Any]:
    return client.get(f"/v1/jobs/{job}").json()


def command_bytes(folder: Path, seed: int, seconds: float) -> bytes:
    path = folder / f"{seed}.wav"
    words = ["--seconds", str(seconds), "--seed", str(seed), "--model", "woosh-tiny-fast"]
    assert cli.main(["generate", "a dog barking", *words, "--quiet", "-o", str(path)]) == 0
    return path.read_bytes()


@pytest.mark.slow
def test_replicas_are_killed_at_work(tmp_path: Path) -> None:
    """Their jobs wait again and are made once, by the bits of the command; uploads and results go through a store of objects."""
    with postgresql() as jobs, object_store() as keys:
        secret = {"WOOSH_JOBS": jobs, "WOOSH_TOKEN": TOKEN}
        with ray_cluster(**secret, **keys) as environment, served(tmp_path, environment) as client:
            assert ask(client, 1, 0.3, wait=120).content == command_bytes(tmp_path, 1, 0.3)
            long = ask(client, 2, 20.0).json()["id"]
            others = [ask(client, seed, 0.3).json()["id"] for seed in (3, 4)]
            until(lambda: state(client, long)["progress"] > 0)
            store = Store(jobs)
            killed = replicas()
            for process in killed:  # one of them holds it
                process.kill()
            sound = {"sound": ("dog.wav", command_bytes(tmp_path, 1, 0.3))}
            tagged = client.post("/v1/tag", params={"wait": 300}, data={"k": 2}, files=sound)
            assert len(tagged.json()["found"]["labels"]) == 2, tagged.text
            for job, seed, seconds in (
                (long, 2, 20.0),
                *zip(others, (3, 4), (0.3, 0.3), strict=True),
            ):
                until(lambda job=job: state(client, job)["state"] not in ("queued", "running"))
                assert ask(client, seed, seconds).json()["id"] == job
                content = client.get(f"/v1/jobs/{job}/audio/0").content
                assert content == command_bytes(tmp_path, seed, seconds)
            (held,) = [job for job in store.in_states(["finished"]) if job.id == long]
            assert held.attempts == 2 and set(store.counts()) == {"finished"}
            store.close()


def test_a_cluster_has_a_token_and_shared_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray listens wherever it is told to."""
    for name in ("WOOSH_TOKEN", "WOOSH_JOBS"):
        monkeypatch.delenv(name, raising=False)
    arguments = Arguments(store="/sounds", models=["woosh-tiny-fast"])
    with pytest.raises(ValueError, match="WOOSH_JOBS=postgresql"):
        arguments.settings()
    monkeypatch.setenv("WOOSH_JOBS", "postgresql://woosh@database/woosh")
    with pytest.raises(ValueError, match="add --token"):
        arguments.settings()
    monkeypatch.setenv("WOOSH_TOKEN", TOKEN)
    settings = arguments.settings()
    assert (settings.database, settings.files) == (os.environ["WOOSH_JOBS"], "/sounds")
