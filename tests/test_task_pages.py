"""Every command of the pages for sound designers and for game audio is executed, in its order, by models of toy size."""

import re
import runpy
import shlex
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.paths import ROOT
from tests.sounds import sound, write_sounds
from tests.test_documents import woosh_commands
from tests.toys import save_pipeline, save_seeing_pipeline
from tests.videos import steady_times, write_video
from woosh import audio, cli

PAGES = ("sound-designers.md", "game-audio.md")
# What makes a command cheap and the same each time, behind what the page says; of a command that is not here nothing is made by a model.
CHEAP = {
    "generate": "--seed 1 --seconds 0.5 --steps 1 --quiet --model toy",
    "edit": "--seed 1 --steps 1 --model toy",
    "extend": "--seed 1 --seconds 9 --steps 1 --model toy",
    "loop": "--seed 1 --seconds 1 --steps 1 --model toy",
    "vary": "--seed 1 --steps 1 --model toy",
    "morph": "--seed 1 --model toy",
    "layer": "--seed 1 --model toy",
    "batch": "--model toy",
    "dub": "--seed 1 --steps 1 --model seeing",
}
# Sounds that a page's reader has, all of eight seconds, and sheets, whose rows stand on the page.
OWN = "rain walk engine thunder door squeak wind sea voice steps kitchen-impulse-response clip recording atmosphere"
SHEETS = {"sound-designers.md": ["storm.csv"], "game-audio.md": ["arena.csv", "sounds.csv"]}


def lay_out(folder: Path, page: str) -> None:
    """Put into a folder what the commands of a page read."""
    save_pipeline(folder / "toy")
    save_seeing_pipeline(folder / "seeing")
    for number, name in enumerate(OWN.split()):
        audio.write_audio(folder / f"{name}.wav", np.tile(sound(number), 16), 48_000)
    write_sounds(folder / "sounds", range(3))
    times = steady_times(Fraction(24), 0.5)
    write_video(folder / "clip.mp4", times, sound=sound(1))
    write_video(folder / "film.mkv", [Fraction(second) for second in range(70)])
    (folder / "my-labels.txt").write_text("rain\na dog\n")
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = re.findall(r"```csv\n(.*?)```", text, flags=re.DOTALL)
    for name, block in zip(SHEETS[page], rows, strict=True):
        (folder / name).write_text(block)


def words_of(command: str) -> list[str]:
    """The words of a command, as a shell without redirections gives them."""
    line, *_ = command.removeprefix("woosh ").split(" > ")
    words = shlex.split(line, comments=True)
    found = [sorted(map(str, Path().glob(word))) if "*" in word else [word] for word in words]
    return [word for several in found for word in several] + shlex.split(CHEAP.get(words[0], ""))


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_does_what_its_reader_asks(
    page: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A command that is misspelt, or needs what the one before it does not make, would leave a reader in the middle."""
    lay_out(tmp_path, page)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    commands = woosh_commands(text)
    assert len(commands) > 8
    for command in commands:
        ended = cli.main(words_of(command))
        assert ended == 0, f"{command}: {capfd.readouterr().err}"
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)):
        (tmp_path / f"{number}.py").write_text(code)
        runpy.run_path(f"{number}.py", run_name="__main__")
