"""`woosh serve`: sounds over HTTP."""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path

from woosh import catalogue
from woosh.command_line import missing_extra
from woosh.commands.options import (
    add_device_option,
    add_dtype_option,
    explain,
    number,
    whole_number,
)
from woosh.outside_files import expanded
from woosh.whole_files import alone_in

PORT = 8765
MOST_WORKERS = 64
EXAMPLES = """\
examples:
  woosh serve
  woosh serve --model woosh-tiny-fast --workers 2
  woosh serve --index ~/sounds                         searches too
  WOOSH_TOKEN=... woosh serve --host 0.0.0.0           for other machines
  woosh serve --jobs postgresql://woosh@db/woosh --store s3://sounds/woosh     one of many servers

  curl "http://127.0.0.1:8765/v1/generate?wait=120" -H "Content-Type: application/json" \\
      -d '{"prompt": "a dog barking"}' -o dog.wav

docs/serving.md tells what can be asked for.
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Answer over HTTP what the commands do, until interrupted. Jobs outlive the server: one that is started "
        "again goes on with them.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add(
        "--model",
        action="append",
        default=[],
        metavar="NAME|DIR",
        help="a model that may be asked for, the first one is the default; repeated for several (default: all that are "
        f"built in, {catalogue.DEFAULT_MODEL} first)",
    )
    add(
        "--port",
        type=whole_number(0, 65_535),
        default=PORT,
        metavar="N",
        help=f"where to listen, 0 for any that is free (default {PORT})",
    )
    add(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="likewise (default 127.0.0.1, which other machines do not reach); others need a token",
    )
    add(
        "--token",
        metavar="TEXT",
        help="that requests must carry; better in the environment's WOOSH_TOKEN, where other users do not see it",
    )
    add(
        "--workers",
        type=whole_number(1, MOST_WORKERS),
        default=1,
        metavar="N",
        help="processes that make sounds, each with its own models (default 1)",
    )
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of jobs and results (default: where the platform keeps the state of programs)",
    )
    add(
        "--jobs",
        metavar="URL",
        help="of a PostgreSQL database that several servers share, with --store; better in the environment's WOOSH_JOBS, where "
        "other users do not see its password (default: a file in --data)",
    )
    add(
        "--store",
        metavar="DIR|URL",
        help="folder, or store of objects such as s3://BUCKET/PREFIX, for uploads and results (default: --data)",
    )
    add(
        "--index",
        type=Path,
        metavar="INDEX",
        help="folder of an index, or the folder of sounds that it lies in, for searches",
    )
    add(
        "--queue",
        type=number(1),
        default=30_000.0,
        metavar="COST",
        help="seconds of sound times steps that may wait or be at work; more is refused for the moment (default 30000)",
    )
    add(
        "--job-seconds",
        type=number(1),
        default=600.0,
        metavar="S",
        help="that one job may take (default 600)",
    )
    add(
        "--keep-hours",
        type=number(0, open_low=True),
        default=24.0,
        metavar="H",
        help="after which results are removed (default 24)",
    )
    add(
        "--keep-gigabytes",
        type=number(0, open_low=True),
        default=10.0,
        metavar="GB",
        help="of results; beyond them the oldest are removed (default 10)",
    )
    add_device_option(parser)
    add_dtype_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """`woosh serve`: check, listen, serve."""
    from woosh.serving.settings import ServerSettings, served_models

    folder = _state_folder() if arguments.data is None else expanded(arguments.data)
    if arguments.index is not None:
        from woosh.search.index import open_index

        open_index(expanded(arguments.index))
    settings = ServerSettings(
        folder=folder.absolute(),
        models=served_models(arguments.model),
        host=arguments.host,
        token=arguments.token or os.environ.get("WOOSH_TOKEN") or None,
        workers=arguments.workers,
        device=arguments.device,
        dtype=arguments.dtype,
        index=None if arguments.index is None else expanded(arguments.index).absolute(),
        most_cost=arguments.queue,
        job_seconds=arguments.job_seconds,
        keep_seconds=3600 * arguments.keep_hours,
        keep_bytes=1e9 * arguments.keep_gigabytes,
        jobs=arguments.jobs or os.environ.get("WOOSH_JOBS") or None,
        store=arguments.store and _store(arguments.store),
    )
    try:
        import uvicorn
    except ImportError as error:
        raise missing_extra("the server needs uvicorn", "serve") from error

    from woosh.serving.application import guarded_application
    from woosh.serving.shared import check_shared

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    check_shared(settings)
    with alone_in(folder), _listening(arguments.host, arguments.port) as listener:
        port = listener.getsockname()[1]
        shown = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
        print(f"woosh: serving at http://{shown}:{port}, Ctrl-C ends it", flush=True)
        config = uvicorn.Config(
            guarded_application(settings),
            lifespan="on",
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=5,
            limit_concurrency=1000,
        )
        uvicorn.Server(config).run(sockets=[listener])


def _store(text: str) -> str:
    """The address of a store as all processes understand it."""
    return text if "://" in text else str(expanded(Path(text)).absolute())


def _state_folder() -> Path:
    import platformdirs

    return platformdirs.user_state_path("woosh", appauthor=False) / "server"


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        OSError: it cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise OSError(
            f"cannot listen at {host}, port {port}: {error.strerror}; name another --port or --host"
        ) from error
