"""What every command line shares: what it prints never decides over its work, and it tidies up when it is ended."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.paths import ROOT
from woosh.command_line import PatientOutput, run_to_exit_code

PRINTING = """
import sys
from pathlib import Path
from woosh.command_line import run_to_exit_code

def work():
    for number in range(20):
        Path(f"{number}.txt").write_text("done")
        print("\\u201cdog\\u201d \\u96e8 \\udce4", "x" * 10000, flush=True)
        print("note \\u96e8", file=sys.stderr)

sys.exit(run_to_exit_code("toy", work))
"""
WAITING = """
import signal, sys, time
from pathlib import Path
from woosh.command_line import run_to_exit_code
from woosh.whole_files import claimed, replacing

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background

def work():
    with claimed([Path("a.txt")]) as path, replacing(path) as part:
        part.write_text("half")
        print("ready", flush=True)
        time.sleep(60)

sys.exit(run_to_exit_code("toy", work))
"""


def start(
    code: str, folder: Path, stdout: int | IO[bytes] = subprocess.PIPE, **environment: str
) -> subprocess.Popen[bytes]:
    """Run a program of the project in a process of its own."""
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env=variables,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_names_that_stdout_cannot_encode_are_escaped(tmp_path: Path, encoding: str) -> None:
    """A prompt in another script must not end a batch on a console that lacks the letters."""
    process = start(PRINTING, tmp_path, PYTHONIOENCODING=encoding)
    out, _ = process.communicate()
    assert process.returncode == 0
    assert out.count(b"\n") == 20
    assert b"\\udce4" in out
    assert len(list(tmp_path.iterdir())) == 20


def test_a_reader_that_goes_away_ends_nothing(tmp_path: Path) -> None:
    """`| head -1` wants one line, not one sound."""
    process = start(PRINTING, tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert b"Error" not in process.stderr.read()
    assert process.wait() == 0
    assert len(list(tmp_path.iterdir())) == 20


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_that_is_lost_is_told_once_the_work_is_done(tmp_path: Path) -> None:
    """Whoever keeps the list of what was made must learn that it is not whole."""
    with Path("/dev/full").open("wb") as full:
        process = start(PRINTING, tmp_path, stdout=full)
        _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.decode().splitlines()[-1] == "toy: error: cannot print: No space left on device"
    assert len(list(tmp_path.iterdir())) == 20


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_signals_leave_no_temporary_file(tmp_path: Path, name: str) -> None:
    """Schedulers and closed terminals end commands; what was begun must not stay."""
    number = getattr(signal, name)
    process = start(WAITING, tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    assert len(list(tmp_path.iterdir())) == 2
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 128 + number
    assert len(errors.decode().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C acts as it does in a terminal, also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_while_an_object_is_let_go_is_not_lost(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """soundfile closes files as they are let go; Python prints what is raised there, with a traceback, and goes on."""
    number = getattr(signal, name)

    class Closing:
        def __del__(self) -> None:
            os.kill(os.getpid(), number)
            time.sleep(0.01)

    def work() -> None:
        Closing()
        time.sleep(20)

    assert run_to_exit_code("toy", work) == 128 + number
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
@pytest.mark.parametrize("error", [ValueError, TypeError])
def test_an_error_that_a_signal_became_is_no_error(
    name: str, error: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    """torch made "cannot determine the shape" of a SIGTERM, for which a whole file of weights was called damaged."""
    number = getattr(signal, name)

    def work() -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(1)
        except BaseException as signalled:
            raise error("the file is damaged") from signalled

    assert run_to_exit_code("toy", work) == 128 + number
    assert "damaged" not in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_signal_stays_ignored_and_handlers_return() -> None:
    """`nohup woosh ...` outlives its terminal; a program that calls the command keeps its own handlers."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run_to_exit_code("toy", lambda: os.kill(os.getpid(), signal.SIGHUP)) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        assert run_to_exit_code("toy", lambda: None) == 0
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_properties_of_the_stream_stay() -> None:
    """Whoever asks stdout for its encoding or its bytes gets them."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    output = PatientOutput(stream)
    print("é", file=output, flush=True)
    assert output.encoding == "ascii"
    assert stream.buffer.getvalue() == b"\\xe9\n"  # type: ignore[attr-defined]


def test_long_messages_are_cut_in_their_middle(capsys: pytest.CaptureFixture[str]) -> None:
    """A file of others may name a tensor by five thousand characters; which file it is must stay to be seen."""

    def refuse() -> None:
        raise ValueError("a.safetensors: " + 5000 * "x" + " is left over")

    assert run_to_exit_code("toy", refuse) == 2
    said = capsys.readouterr().err
    assert said.startswith("toy: error: a.safetensors: xxx") and said.endswith("is left over\n")
    assert len(said) < 1300


@pytest.mark.parametrize(
    ("script", "missing", "extra"),
    [
        ("demos/studio.py", "gradio", "demo"),
        ("benchmarks/listening_picture.py", "matplotlib", "plot"),
        ("benchmarks/readme_pictures.py", "PIL", "dev"),
    ],
)
def test_a_script_without_its_extra_is_one_line(script: str, missing: str, extra: str) -> None:
    """As in an installation that lacks the package."""
    code = f"import runpy, sys; sys.modules[{missing!r}] = None; runpy.run_path({script!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str((ROOT / script).parent)])},
    )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    name = Path(script).stem
    assert done.stderr.startswith(f"{name}: error: ") and f'"woosh-sfx[{extra}]"' in done.stderr


def test_objects_that_stay_are_seldom_gone_through() -> None:
    """A command imports a thousand files: Python would look through what they make again and again."""
    script = (
        "import gc\n"
        "from woosh.command_line import own_process\n"
        "own_process()\n"
        "before = sum(kind['collections'] for kind in gc.get_stats())\n"
        "kept = [[] for _ in range(120_000)]\n"
        "print(sum(kind['collections'] for kind in gc.get_stats()) - before)\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert 1 <= int(answer.stdout) <= 3


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc alone")
def test_freed_memory_is_kept() -> None:
    """Pieces of one size that are asked for again and again are not filled by the system each time."""
    script = (
        "import resource\n"
        "from woosh.command_line import keep_freed_memory\n"
        "keep_freed_memory()\n"
        "for _ in range(20):\n"
        "    bytearray(b'1') * (24 << 20)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt * resource.getpagesize())\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert int(answer.stdout) < 5 * (24 << 20)
