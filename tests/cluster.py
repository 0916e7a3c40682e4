"""A real Ray cluster on this machine, small and without its pages."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import psutil

from tests.paths import ROOT

PATHS = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
ALONE = {
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join(PATHS),
    "RAY_AUTH_MODE": "disabled",  # else a token is left in the user's folder
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_worker_niceness": "0",  # else workers wait for all that the machine has to do besides
}


@contextlib.contextmanager
def ray_cluster(**more: str) -> Iterator[dict[str, str]]:
    """Start a cluster that has four cores by its own account; the environment of those who use it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        **ALONE,
        # On a machine that has other things to do.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120",
        "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "120",
        **more,
    }
    with TemporaryDirectory(prefix="woosh-ray-") as place:
        where = ["--port", str(port), "--temp-dir", place]
        size = ["--num-cpus", "4", "--object-store-memory", str(10**8), "--include-dashboard=false"]
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ray.scripts.scripts",
                "start",
                "--head",
                "--block",
                *where,
                *size,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        try:
            yield {**environment, "RAY_ADDRESS": f"127.0.0.1:{port}"}
        finally:
            # Asked to end, Ray would drain its node for long.
            own = psutil.Process(process.pid)
            for one in (*own.children(recursive=True), own):
                one.kill()
            process.wait()
