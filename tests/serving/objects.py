"""A real server of objects in the shape of S3, on this machine."""

import contextlib
import logging
from collections.abc import Iterator

import httpx
import pytest

BUCKET = "sounds"


@contextlib.contextmanager
def object_store() -> Iterator[dict[str, str]]:
    """Start it with one bucket; what a process that uses it has in its environment."""
    moto = pytest.importorskip("moto.server", reason="the extra dev brings moto")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        httpx.put(f"http://{host}:{port}/{BUCKET}").raise_for_status()
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }
    finally:
        server.stop()
