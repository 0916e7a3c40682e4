"""Every command of the README runs, in the order of the page, on inputs of the kinds that it names.

A command that this file does not know fails: add what makes it cheap, or say why it cannot run here.
"""

import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from safetensors.torch import save_file

from tests.official import load_released
from tests.paths import ROOT
from tests.sounds import write_sounds
from tests.toys import make_tokenizer
from tests.videos import steady_times, write_video
from woosh import cli

README = (ROOT / "README.md").read_text(encoding="utf-8")
SHORT = ["--seconds", "0.5", "--steps", "1"]
# The beginning of a command -> what is added to it, so that it costs little.
ADDED: dict[str, list[str]] = {
    "woosh generate": SHORT,
    "woosh dub": ["--steps", "1"],
    "woosh index": [],
    "woosh search": [],
    "woosh tag": [],
    "woosh convert": ["--tokenizer", "tokenizer"],
    "woosh data prepare": [],
    "woosh evaluate generation": [],
    "python training/finetune_lora.py": [
        "steps=2",
        "precision='no'",
        "batch_size=1",
        "lengths=[0.25]",
    ],
    "python training/encode_latents.py": [],
    "python training/train_flow.py": ["steps=2", "frames_per_batch=102", "lengths=[51]"]
    + ["length_chances=[1.0]"],
    "python demos/": [],
}
# They install; .ci/run runs the two that stand behind its marks, which have the same form as the others.
NOT_HERE = ("pip install",)


def commands() -> list[str]:
    """Of the column "command" of the table "I want to ...", and of the blocks of code."""
    table = re.search(r"^\| I want to.*?\n\n", README, flags=re.DOTALL | re.MULTILINE)
    assert table is not None
    cells = [row.split("|")[2] for row in table[0].strip().splitlines()[2:]]
    blocks = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    lines = [line.strip() for block in blocks for line in re.split(r"\n|&&", block)]
    spans = [span for cell in cells for span in re.findall(r"`([^`]+)`", cell)]
    return [line for line in (*spans, *lines) if line and line != "pytest"]


def added_to(command: str) -> list[str]:
    """What is added to a command.

    Raises:
        KeyError: a command that this file does not know.
    """
    for beginning, options in ADDED.items():
        if command.startswith(beginning):
            return options
    raise KeyError(f"the README's {command!r} is not known here: say how it runs cheaply")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a clone, with the files that the README's commands name."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("configs", "training", "demos", "woosh"):
        (folder / name).symlink_to(ROOT / name)
    write_sounds(folder / "sounds", range(6), seconds=1.0)
    write_sounds(folder / "recordings", range(4, 10), seconds=1.0)
    shutil.copy(next((folder / "sounds").glob("*.wav")), folder / "recording.wav")
    write_video(folder / "clip.mp4", steady_times(Fraction(24), 1.0))
    for name in ("Woosh-Flow", "Woosh-AE", "TextConditionerA"):
        released, checkpoint = load_released(name), folder / "checkpoints" / name
        checkpoint.mkdir(parents=True)
        save_file(released.tensors, checkpoint / "weights.safetensors")
        (checkpoint / "config.yaml").write_text(yaml.safe_dump(released.config))
    make_tokenizer().save_pretrained(folder / "tokenizer")
    return folder


def run_page(words: list[str]) -> None:
    """Start a page, see that it answers, stop it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, *words[1:], "--port", str(port)]) as server:
        try:
            for _ in range(600):
                assert server.poll() is None, f"{words} stopped"
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}") as answer:
                        assert answer.status == 200
                    return
                except OSError:
                    time.sleep(0.2)
            raise AssertionError(f"{words} did not answer")
        finally:
            server.terminate()


def run_script(words: list[str]) -> None:
    """Run a recipe."""
    result = subprocess.run(
        [sys.executable, *words[1:]], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def runner_of(words: list[str]) -> Callable[[list[str]], None]:
    """How a command is run: `woosh` within this process."""
    if words[0] == "woosh":
        return lambda words: pytest.fail(f"{words} failed") if cli.main(words[1:]) else None
    return run_page if words[1].startswith("demos/") else run_script


@pytest.mark.slow
def test_every_command_of_the_readme_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # Tests run side by side: threads of a script's own would wait for each other.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for command in commands():
        if command.startswith(NOT_HERE):
            continue
        words = [*shlex.split(command), *added_to(command)]
        runner_of(words)(words)
    written = {path.name for path in place.iterdir()}
    assert {"rain.flac", "takes", "with-sound.mp4", "models", "shards", "runs"} <= written


def test_an_unknown_command_is_not_passed_over() -> None:
    assert len(commands()) >= 12
    with pytest.raises(KeyError, match="is not known here"):
        added_to("woosh sing")
