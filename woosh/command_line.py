"""What every command line of the project shares: errors are one line on stderr, and exit codes mean the same."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from woosh.outside_files import printable


class Parser(argparse.ArgumentParser):
    """A parser whose errors are raised, so that `run_to_exit_code` prints them like every other refusal."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def run_to_exit_code(name: str, action: Callable[[], object]) -> int:
    """Run an action; an error becomes one line on stderr instead of a traceback.

    In Python's development mode (`python -X dev`) errors are raised, for whoever looks for their place in the code.

    Args:
        name: of the command, in front of the line.
        action: what to do.

    Returns:
        0 on success, 2 after bad input, 1 after another failure, 130 after Ctrl-C.
    """
    try:
        action()
    except (ValueError, OSError) as error:
        return _fail(name, error, 2)
    except (RuntimeError, MemoryError, ImportError, ArithmeticError) as error:
        return _fail(name, error, 1)
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    return 0


def _fail(name: str, error: BaseException, code: int) -> int:
    """Print an error as one line of printable characters, whatever is in its message."""
    if sys.flags.dev_mode:
        raise error
    text = printable(" ".join(str(error).split())) or type(error).__name__
    print(f"{name}: error: {text}", file=sys.stderr)
    return code
