"""Every command of README.md is executed, in its order, on small stand-ins for what its reader would have."""

import contextlib
import re
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.official import write_released
from tests.paths import ROOT
from tests.sounds import sound, write_sounds
from tests.toys import make_tokenizer
from tests.videos import steady_times, write_video
from woosh import audio, cli

README = (ROOT / "README.md").read_text(encoding="utf-8")


class Known(NamedTuple):
    """A command that the test can run."""

    start: str  # how it begins
    appended: str  # what makes it cheap and lets it find the stand-ins
    written: str  # files that it makes, as a pattern; without one it prints


# A command that begins like none of these makes the test fail: say here how it is run in a second.
KNOWN = (
    Known("woosh generate", "--seconds 0.3 --steps 2", "**/*.[wf][al][va]*"),
    Known("woosh edit", "--steps 2", "storm-edited.wav"),
    Known("woosh extend", "--seconds 5.2 --steps 2", "storm-extended.wav"),
    Known("woosh loop", "--seconds 0.6 --steps 2", "wind.wav"),
    Known("woosh vary", "--count 1 --steps 2", "storms/*.wav"),
    Known("woosh batch", "", "assets/manifest.json"),
    Known("woosh engines", "", "assets/**/*.import"),
    Known("woosh dub", "--steps 2", "with-sound.mp4"),
    Known("woosh serve", "--data served", ""),
    Known("woosh index", "", "sounds/.woosh-index/*"),
    Known("woosh search", "", ""),
    Known("woosh tag", "", ""),
    Known("woosh convert", "--tokenizer checkpoints/tokenizer", "models/*/model_index.json"),
    Known("woosh data prepare", "", "shards/*.tar"),
    Known("woosh evaluate generation", "--cache cache", ""),
    Known(
        "python training/finetune_lora.py",
        "steps=1 save_every=1 batch_size=1 lengths=[0.25] speeds=[1.0] 'precision=\"no\"'",
        "runs/*lora/lora.safetensors",
    ),
    Known("python training/encode_latents.py", "speeds=[1.0] weighed_clips=1", "runs/*latents/*"),
    Known(
        "python training/train_flow.py",
        "steps=1 save_every=1 frames_per_batch=60 lengths=[10,20] length_chances=[0.5,0.5] "
        "'precision=\"no\"'",
        "runs/*flow/transformer/*",
    ),
    Known("python demos/studio.py", "", ""),
)
# These install the package, which needs the network, or are this test itself. `.ci/run` runs the two blocks with
# `-c constraints.txt`, and its environment has every extra.
LEFT_OUT = (
    "pip install -c constraints.txt .",
    'pip install -c constraints.txt -e ".[dev]"',
    'pip install -c constraints.txt -e ".[train]"',
    'pip install ".[demo]"',
    "pytest",
)


def shell_commands(text: str) -> list[str]:
    """Commands of the bash blocks and of the second column of the table "I want to", in the page's order."""
    wanted = r"```bash\n(?P<block>.*?)```|^\| I want to (?P<table>.*?)\n\n"
    commands: list[str] = []
    for part in re.finditer(wanted, text, flags=re.DOTALL | re.MULTILINE):
        if part["block"]:
            commands += re.split(r"\n|&&", part["block"])
        else:
            cells = [row.split("|")[2] for row in part["table"].splitlines()[2:]]
            commands += [command for cell in cells for command in re.findall(r"`([^`]+)`", cell)]
    return [command.strip() for command in commands if command.strip()]


def known(command: str) -> Known | None:
    """How to run a command, None for one that is left out."""
    if command in LEFT_OUT:
        return None
    fitting = [how for how in KNOWN if command.startswith(f"{how.start} ") or command == how.start]
    assert len(fitting) == 1, f"README.md has {command!r}: say in KNOWN of {__file__} how to run it"
    return fitting[0]


def lay_out(folder: Path) -> None:
    """Put into a folder what the commands read: the clone, sounds, a clip, a released checkpoint."""
    for name in ("training", "configs", "demos", "woosh"):
        (folder / name).symlink_to(ROOT / name)
    recordings = write_sounds(folder / "recordings", range(6))
    write_sounds(folder / "sounds", range(6, 9))
    shutil.copy(recordings / "clip-0.wav", folder / "recording.wav")
    storm = np.tile(sound(1, 0.5), 10)
    audio.write_audio(folder / "storm.wav", storm, 48_000, {"prompt": "a storm"})
    (folder / "sounds.csv").write_text("name,prompt,seconds,steps\nrain,rain,0.3,2\n")
    write_video(folder / "clip.mp4", steady_times(Fraction(24), 0.5))
    write_released(folder / "checkpoints", ["Woosh-AE", "TextConditionerA", "Woosh-Flow"])
    make_tokenizer().save_pretrained(folder / "checkpoints" / "tokenizer")


def run_python(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a script as `python` does, inside this process, where torch is already there."""
    script, *arguments = shlex.split(line)
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        assert not end.code, f"{line} ended with {end.code}"


def served(line: str, path: str = "") -> str:
    """Start a page or a server, take what it answers at a path, and stop it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, *shlex.split(line), "--port", str(port)])
    try:
        for _ in range(600):
            assert server.poll() is None, f"{line} stopped with exit status {server.returncode}"
            with (
                contextlib.suppress(urllib.error.URLError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as page,
            ):
                return page.read().decode()
            time.sleep(0.1)
        raise AssertionError(f"{line} did not answer within a minute")
    finally:
        server.terminate()
        server.wait()


def test_every_command_of_the_readme_is_known_and_no_other() -> None:
    commands = shell_commands(README)
    used = [known(command) for command in commands]
    assert {how.start for how in used if how} == {how.start for how in KNOWN}
    assert set(LEFT_OUT) <= set(commands)
    with pytest.raises(AssertionError, match="say in KNOWN"):
        known("woosh sing a song")


@pytest.mark.slow
def test_every_command_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    for command in shell_commands(README):
        how = known(command)
        if how is None:
            continue
        files = set(tmp_path.glob(how.written)) if how.written else set()
        capfd.readouterr()
        program, _, line = f"{command} {how.appended}".partition(" ")
        if line.startswith("serve"):
            assert "woosh-small" in served(f"-m woosh {line}", "/v1/models")
            continue
        if program == "woosh":
            assert cli.main(shlex.split(line)) == 0, f"{command}: {capfd.readouterr().err}"
        elif line.startswith("demos/"):
            assert "Woosh" in served(line)
            continue
        else:
            run_python(line, monkeypatch)
        if how.written:
            assert set(tmp_path.glob(how.written)) - files, f"{command} wrote no {how.written}"
        else:
            assert capfd.readouterr().out, f"{command} printed nothing"
