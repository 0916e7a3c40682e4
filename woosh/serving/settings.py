"""What a server is told when it starts, and what its workers are told by it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from woosh import catalogue
from woosh.catalogue import ModelInfo

RESULTS, UPLOADS = "results", "uploads"  # folders of a server
READY = "ready"  # the line by which a worker says that it takes jobs
LOOPBACK = ("127.0.0.1", "::1", "localhost")
SHORTEST_TOKEN = 16
TOKEN = re.compile(r"[!-~]+")  # what a header can carry


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker is told.

    Attributes:
        name: of the worker; no other process has had it.
        database: address of the jobs, see `woosh.serving.database.open_database`.
        files: address of uploads and results, see `woosh.serving.files.open_files`.
        models: folders of the models that may be asked for, by name; the first is the default.
        device: see `woosh.generation.loading.choose_device`.
        dtype: see `woosh.generation.loading.load_model`.
        index: folder of the index that searches ask; None where there is none.
    """

    name: str
    database: str
    files: str
    models: dict[str, str]
    device: str
    dtype: str
    index: str | None = None

    def line(self) -> str:
        """The first line of a worker's input."""
        return json.dumps(vars(self)) + "\n"


@dataclass(frozen=True)
class ServerSettings:
    """What a server is told.

    Attributes:
        folder: that it keeps its jobs and files in.
        models: that may be asked for; the first is the default.
        host: where it listens.
        token: that requests must carry; None asks for none.
        workers: processes that make sounds.
        device: of them.
        dtype: of them.
        index: folder of the index that searches ask.
        most_cost: of the jobs that wait or run, in seconds of sound times steps.
        job_seconds: that a job may take.
        keep_seconds: after which results are removed.
        keep_bytes: of results; beyond them the oldest are removed.
        jobs: address of the jobs that servers share; None keeps them in the folder.
        store: address of the files that servers share; None keeps them in the folder.

    Raises:
        ValueError: a host that others reach without a token, a token that is short or that no header can carry, or shared jobs
            whose files other servers do not reach.
    """

    folder: Path
    models: tuple[ModelInfo, ...]
    host: str = "127.0.0.1"
    token: str | None = None
    workers: int = 1
    device: str = "auto"
    dtype: str = "auto"
    index: Path | None = None
    most_cost: float = 30_000.0
    job_seconds: float = 600.0
    keep_seconds: float = 86_400.0
    keep_bytes: float = 10e9
    jobs: str | None = None
    store: str | None = None

    def __post_init__(self) -> None:
        if self.jobs is not None and self.store is None:
            raise ValueError(
                "other servers that share the jobs must reach the files too: add --store, a folder that all have or s3://BUCKET/PREFIX"
            )
        if self.token is None and self.host not in LOOPBACK:
            raise ValueError(
                f"others reach this machine at {self.host}: add --token, or leave out --host and put a reverse proxy in front"
            )
        if self.token is None:
            return
        if len(self.token) < SHORTEST_TOKEN or not TOKEN.fullmatch(self.token):
            raise ValueError(
                f"the token must have {SHORTEST_TOKEN} printable characters of ASCII or more, without spaces"
            )

    @property
    def database(self) -> str:
        """Address of the jobs."""
        return self.jobs or f"sqlite:///{self.folder / 'jobs.sqlite'}"

    @property
    def files(self) -> str:
        """Address of uploads and results."""
        return self.store or str(self.folder)

    def of_worker(self, name: str) -> WorkerSettings:
        """What a worker of that name is told."""
        return WorkerSettings(
            name=name,
            database=self.database,
            files=self.files,
            models={info.name: str(info.folder) for info in self.models},
            device=self.device,
            dtype=self.dtype,
            index=None if self.index is None else str(self.index),
        )


def served_models(names: Sequence[str]) -> tuple[ModelInfo, ...]:
    """The models that are named, or all that are built in, the default first.

    Raises:
        FileNotFoundError: there is no model of that name.
        ValueError: two have the same name.
    """
    if names:
        infos = [catalogue.describe_model(catalogue.find_model(name)) for name in names]
    else:
        infos = catalogue.built_in_models()
        infos.sort(key=lambda info: info.name != catalogue.DEFAULT_MODEL)
    if len({info.name for info in infos}) < len(infos):
        raise ValueError("two models have the same name: name folders with different names")
    return tuple(infos)
