"""What every command line of the project shares: errors are one line on stderr, and exit codes mean the same."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import FrameType
from typing import Any, NoReturn, TextIO

from woosh.outside_files import printable

LONGEST_WORD = 200  # characters of a word in a message about the command line
LONGEST_MESSAGE = 1200  # characters of an error
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST_KEPT = 32 << 20  # bytes of one piece of memory; glibc takes no larger threshold
KEPT = 512 << 20  # bytes that are kept at most
UNCOLLECTED = 50_000  # new objects after which Python looks for those that nothing reaches
OWN_PROCESS = threading.Event()  # set where the process is a command's alone, see `own_process`
ENDING_SIGNALS = ("SIGTERM", "SIGHUP")  # that end the process; Windows lacks the second
SOON = 0.05  # seconds until a signal that was lost comes again


def missing_extra(purpose: str, extra: str) -> ImportError:
    """The error where what an extra brings is not installed: what needs it, such as "LoRA needs peft", and how to get it."""
    return ImportError(f'{purpose}: pip install "woosh-sfx[{extra}]"')


class Parser(argparse.ArgumentParser):
    """A parser whose errors are raised, so that `run_to_exit_code` prints them like every other refusal."""

    def error(self, message: str) -> NoReturn:
        words = (
            word if len(word) <= LONGEST_WORD else _shortened(word) for word in message.split()
        )
        raise ValueError(" ".join(words))


def _shortened(word: str) -> str:
    return f"{word[:20]}...{word[-20:]} ({len(word)} characters)"


class Ended(BaseException):
    """A signal asked the process to end. Like an interruption it is no error, and what was begun is tidied up."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


def own_process() -> None:
    """Say that the process is a command's alone, and set it up for that: it starts and computes faster."""
    OWN_PROCESS.set()
    # Importing makes millions of objects that stay. Python goes through them after each 700 new ones, or 2,000.
    gc.set_threshold(UNCOLLECTED)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let the process keep memory that it frees for what it asks for next, where the C library is glibc.

    glibc gives large pieces back to the system at once, which fills them with zeros when they are asked for again: a
    network asks for the same sizes in each step. For processes of their own; whoever imports the library decides alone.
    """
    try:
        has_glibc = "CS_GNU_LIBC_VERSION" in os.confstr_names
    except AttributeError:  # Windows
        return
    if has_glibc:
        import ctypes

        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, KEPT)


class PatientOutput:
    """A stream of text whose failures never reach those who write: work goes on when nobody reads what it says.

    Characters that the stream cannot encode are written as escapes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None  # the first one; a reader who went away is none
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """From here on the stream goes nowhere; what it still holds would fail again when the interpreter ends."""
        if not isinstance(error, BrokenPipeError):
            self.failure = self.failure or error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def run_to_exit_code(name: str, action: Callable[[], object]) -> int:
    """Run an action; an error becomes one line on stderr instead of a traceback.

    What it prints never fails (see `PatientOutput`), and signals to end are exceptions within it, so that temporary
    files go. In Python's development mode (`python -X dev`) errors are raised, for whoever looks for their place in
    the code.

    Args:
        name: of the command, in front of the line.
        action: what to do.

    Returns:
        0 on success, 2 after bad input, 1 after another failure (also of writing to stdout), 130 after Ctrl-C,
        128 + its number after another signal.
    """
    output, errors = (stream and PatientOutput(stream) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(output), redirect_stderr(errors), _signals_raised() as heard:
        try:
            code = _run(name, action, heard)
        finally:
            for stream in (output, errors):
                if stream is not None:
                    stream.flush()
        if output is not None and output.failure is not None:
            print(f"{name}: error: cannot print: {output.failure.strerror}", file=sys.stderr)
            return code or 1
        return code


def _run(name: str, action: Callable[[], object], heard: list[int]) -> int:
    try:
        action()
    except Exception as error:
        if heard:  # code in C may turn what a signal raised within it into an error of its own
            return _tell_end(name, heard[0])
        if isinstance(error, ValueError | OSError):
            return _fail(name, error, 2)
        if isinstance(error, RuntimeError | MemoryError | ImportError | ArithmeticError):
            return _fail(name, error, 1)
        raise
    except KeyboardInterrupt:
        return _tell_end(name, signal.SIGINT)
    except Ended as ended:
        return _tell_end(name, ended.number)
    return 0


def _tell_end(name: str, number: int) -> int:
    """Say that a signal ended the command; its exit code."""
    interrupted = number == signal.SIGINT
    print(f"{name}: {'interrupted' if interrupted else Ended(number)}", file=sys.stderr)
    return 128 + number


@contextmanager
def _signals_raised() -> Iterator[list[int]]:
    """Signals that would end this process at once raise `Ended` in it. Those that are ignored (nohup) stay so.

    Yields:
        A list to which the number of a signal is added as it comes, Ctrl-C's too.
    """
    heard: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    numbers = [
        number
        for number in (getattr(signal, name, None) for name in ENDING_SIGNALS)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL
    ]
    process = os.getpid()

    def end(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != process:  # a worker that was forked ends as ever
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        heard.append(number)
        for other in numbers:  # a second one does not disturb the tidying up
            signal.signal(other, signal.SIG_IGN)
        raise Ended(number)

    def interrupt(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        signal.default_int_handler(number, frame)

    before: dict[int, Any] = dict.fromkeys(numbers, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
        before[signal.SIGINT] = signal.default_int_handler
    for number in numbers:
        signal.signal(number, end)
    try:
        with _never_lost(lambda: [signal.signal(number, end) for number in numbers], heard):
            yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _never_lost(listen: Callable[[], object], heard: list[int]) -> Iterator[None]:
    """Python drops what is raised where an object is let go: there a signal comes again a moment later.

    Args:
        listen: sets the handlers of the ending signals once more.
        heard: numbers of the signals that came.
    """
    tell = sys.unraisablehook
    timers: list[threading.Timer] = []

    def lost(what: sys.UnraisableHookArgs) -> None:
        if isinstance(what.exc_value, Ended | KeyboardInterrupt):
            listen()
            timer = threading.Timer(SOON, os.kill, (os.getpid(), heard[-1]))
            timer.daemon = True
            timers.append(timer)
            timer.start()
        else:
            tell(what)

    sys.unraisablehook = lost
    try:
        yield
    finally:
        sys.unraisablehook = tell
        for timer in timers:
            timer.cancel()


def _fail(name: str, error: BaseException, code: int) -> int:
    """Print an error as one line of printable characters, whatever is in its message."""
    if sys.flags.dev_mode:
        raise error
    text = printable(" ".join(str(error).split())) or type(error).__name__
    if len(text) > LONGEST_MESSAGE:  # files of others name things as they like
        text = f"{text[: LONGEST_MESSAGE - 200]} ... {text[-190:]}"
    print(f"{name}: error: {text}", file=sys.stderr)
    return code
