"""README and docs: their links lead somewhere, their commands are understood, the README's Python runs."""

import ast
import functools
import importlib
import re
import runpy
import shlex
from pathlib import Path

import pytest
import soundfile

from tests.paths import ROOT
from woosh.cli import build_parser
from woosh.training.config import load_config

PAGES = sorted(
    [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "studies").glob("*.md")]
)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def woosh_commands(text: str) -> list[str]:
    """The calls of `woosh` in blocks of code and in a table "I want to"; elsewhere a text may name a part of one."""
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.strip() for block in blocks for line in re.split(r"\n|&&", block)]
    table = re.search(r"^\| I want to.*?\n\n", text, flags=re.DOTALL | re.MULTILINE)
    rows = [row.split("|")[2] for row in table[0].strip().splitlines()] if table else []
    cells = [command for row in rows for command in re.findall(r"`([^`]+)`", row)]
    return [command for command in (*cells, *lines) if command.startswith("woosh ")]


def anchor(heading: str) -> str:
    """The name that a heading gets on a page."""
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:")):
            continue
        path, _, part = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{page.name}: {link}"
        if part:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert part in map(anchor, headings), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_understood(page: Path) -> None:
    for command in woosh_commands(page.read_text(encoding="utf-8")):
        build_parser().parse_args(shlex.split(command, comments=True)[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_recipes_on_the_pages_take_their_settings(page: Path) -> None:
    """Script, file and every `name=value` behind it; what a shell would fill in is left out."""
    text = page.read_text(encoding="utf-8")
    for command in re.findall(r"python (training/\w+\.py configs/[^`|#\n]+)", text):
        if "$" not in command:
            script, config, *overrides = shlex.split(command)
            recipe = importlib.import_module(script.removesuffix(".py").replace("/", "."))
            load_config(recipe.Config, ROOT / config, overrides)


def test_the_pages_have_recipes_for_users() -> None:
    """The test above would pass on pages without recipes."""
    page = (ROOT / "docs" / "researchers.md").read_text(encoding="utf-8")
    named = set(re.findall(r"configs/(own_\w+)\.yaml", page))
    assert named == {path.stem for path in (ROOT / "configs").glob("own_*.yaml")}


def test_the_readme_has_commands_of_every_kind() -> None:
    """The tests above would pass on a page without commands."""
    verbs = {command.split()[1] for command in woosh_commands(README)}
    assert verbs >= {"generate", "dub", "index", "search", "tag", "convert", "data", "evaluate"}


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= 1500


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"]({page.name})" in index, f"{page.name} is not linked"


def test_the_python_of_the_readme_writes_a_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "readme.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    runpy.run_path("readme.py", run_name="__main__")
    audio, rate = soundfile.read(tmp_path / "waves.wav")
    assert (len(audio), rate) == (384_000, 48_000)
    assert 0.01 < abs(audio).max() <= 1


@functools.cache
def words_of_the_source() -> list[str]:
    """Every text of the library, the recipes and the page, with a zero character for what is filled in."""
    found = []
    for folder in ("woosh", "training", "demos"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [p.value if isinstance(p, ast.Constant) else "\0" for p in node.values]
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return found


def quoted_messages() -> list[str]:
    """What the first cells of the tables on the page for troubles quote."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    cells = [line[2:].split(" | ")[0] for line in page.splitlines() if line.startswith("| ")]
    quoted = [part for cell in cells for part in re.findall(r"``\s?(.+?)\s?``|`([^`]+)`", cell)]
    return [first or second for first, second in quoted]


# What is filled in: words in capitals, numbers, names of models, formats and examples in quotes; texts are joined at colons.
FILLED = re.compile(
    r"\.\.\.|'?\b[A-Z]+\b'?|\bwoosh-[a-z-]+|\b[\d.]+\b|(?:,? ?\.(?:wav|flac|ogg))+|\"[^\"]*\"|[:;] "
)


def fragments(message: str) -> list[str]:
    """What a message says always, in pieces of two words or more."""
    pieces = (piece.strip(" ,:;()'\"") for piece in FILLED.split(message))
    return [piece for piece in pieces if len(piece.split()) > 1]


@pytest.mark.parametrize("message", quoted_messages())
def test_messages_on_the_page_for_troubles_are_those_of_the_program(message: str) -> None:
    """Whoever looks for the words that the command said must find them, also after they were changed in the code."""
    known = words_of_the_source()
    for fragment in fragments(message):
        assert any(fragment in text for text in known), f"nothing says {fragment!r}"


def test_stale_messages_would_be_noticed() -> None:
    """The test above would pass on a page without messages, or if it compared nothing of them."""
    messages = quoted_messages()
    assert len(messages) > 80
    assert sum(bool(fragments(message)) for message in messages) > 0.9 * len(messages)
    assert fragments("PATH is truncated: N of M frames are there") == [
        "is truncated",
        "frames are there",
    ]
    assert not any("is truncated" in text for text in words_of_the_source())
