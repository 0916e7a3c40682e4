"""A real server in a process of its own, with the built-in model of four steps."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.paths import ROOT

PATIENCE = 600.0  # seconds, on a machine that has other things to do


@dataclass
class Running:
    """A server that runs."""

    folder: Path
    process: subprocess.Popen[str]
    address: str
    client: httpx.Client

    @property
    def workers(self) -> list[int]:
        """Numbers of its worker processes."""
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def wait_until_ready(self) -> None:
        """Until a worker takes jobs."""
        until(self._is_ready)

    def _is_ready(self) -> bool:
        try:
            return self.client.get("/v1/health").status_code == 200
        except httpx.TransportError:  # it does not listen yet
            return False

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def until(happens: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)


@contextlib.contextmanager
def server(folder: Path, *options: str, token: str | None = None) -> Iterator[Running]:
    """Start a server; it is ready later."""
    words = ("--model", "woosh-tiny-fast", "--port", "0", "--data", str(folder), *options)
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    if token is not None:
        environment["WOOSH_TOKEN"] = token
    process = subprocess.Popen(
        [sys.executable, "-m", "woosh", "serve", *words],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = line.split()[3].rstrip(",")
        with httpx.Client(base_url=address, timeout=PATIENCE) as client:
            running = Running(folder, process, address, client)
            yield running
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def _answers(client: httpx.Client) -> bool:
    try:
        return bool(client.get("/v1/health")) or True
    except httpx.TransportError:
        return False
