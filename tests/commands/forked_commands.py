"""A process that runs commands once, to import what they import, and then forks such that are ended or meet a full disk or each other.

    python -m tests.commands.forked_commands FOLDER COMMANDS

COMMANDS is a list of commands in JSON, which are run in FOLDER. A line on standard input is JSON: `folder` to work in, `commands` (arguments of `woosh`, all at the same time), `signal` (number, and
after how many seconds it is sent) or null, and `largest` (bytes that a file may have) or null. The answer is a line of JSON: exit status
and what was printed, for each command, and the seconds that all took.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

import torch

from woosh import cli


def become_command(folder: str, arguments: list[str], said: Path, largest: int | None) -> NoReturn:
    """Run a command as a shell would start it. The interpreter is not tidied up, which takes longer than the command."""
    os.chdir(folder)
    output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for source, number in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
        os.dup2(source, number)
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    code = cli.main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def end_after(processes: list[int], number: int, seconds: float) -> None:
    """Send a signal to processes that still run by then."""
    time.sleep(seconds)
    for process in processes:
        os.kill(process, number)  # one that has ended waits to be asked for its status


def serve() -> None:
    """Fork commands for each line."""
    torch.set_num_threads(1)  # threads do not survive a fork
    os.chdir(sys.argv[1])
    with redirect_stdout(sys.stderr):
        for arguments in json.loads(sys.argv[2]):
            assert cli.main(arguments) == 0
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        folder, begun = request["folder"], time.monotonic()
        said = [Path(f"{folder}-{number}.txt") for number, _ in enumerate(request["commands"])]
        processes = []
        for arguments, messages in zip(request["commands"], said, strict=True):
            process = os.fork()
            if process == 0:
                become_command(folder, arguments, messages, request["largest"])
            processes.append(process)
        if request["signal"] is not None:
            end_after(processes, *request["signal"])
        codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
        seconds = time.monotonic() - begun
        texts = [messages.read_text() if messages.exists() else "" for messages in said]
        answer = {"endings": list(zip(codes, texts, strict=True)), "seconds": seconds}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
