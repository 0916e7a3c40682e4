"""A real PostgreSQL in a folder of its own, which listens at a socket there alone."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

OTHER_USER = "nobody"  # PostgreSQL refuses to run as the administrator


def _program(name: str) -> str:
    """The path of one of PostgreSQL's programs, wherever Debian's package puts it."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(places[-1]) if places else shutil.which(name)
    if found is None:
        pytest.skip(f"PostgreSQL's {name} is not on this machine (Debian: apt install postgresql)")
    return found


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Start a database; its address."""
    initdb, control = _program("initdb"), _program("pg_ctl")
    with TemporaryDirectory(prefix="woosh-pg-") as place:
        data, own = Path(place) / "data", []
        if os.geteuid() == 0:
            own = ["runuser", "-u", OTHER_USER, "--"]
            shutil.chown(place, OTHER_USER)
        words = [*own, initdb, "-D", str(data), "-U", "woosh", "-A", "trust", "--no-sync"]
        subprocess.run(words, check=True, capture_output=True, cwd=place)
        options = f"-c listen_addresses='' -c unix_socket_directories={place} -c fsync=off"
        log = str(Path(place) / "log")
        words = [*own, control, "-D", str(data), "-w", "-l", log]
        subprocess.run([*words, "-o", options, "start"], check=True, capture_output=True, cwd=place)
        try:
            yield f"postgresql://woosh@/postgres?host={place}"
        finally:
            subprocess.run(
                [*words, "-m", "immediate", "stop"], check=True, capture_output=True, cwd=place
            )
