"""Text, JSON, CSV and YAML of others: what is read, what is refused, and that limits hold before memory is taken."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from woosh.outside_files import (
    MOST_VALUES,
    expanded,
    lines_of,
    parse_json,
    parse_yaml,
    printable,
    read_csv,
    read_object,
    read_text,
    read_yaml,
    shaped,
    shown,
)

MARK = "\ufeff"


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    """It became part of the first caption, label or column name."""
    for name, text in (
        ("a.txt", "bell\r\ndoor\n"),
        ("a.json", '{"a": 1}'),
        ("a.csv", "index,name\r\n0,bell\r\n"),
        ("a.yaml", "a: 1\n"),
    ):
        (tmp_path / name).write_text(MARK + text, encoding="utf-8", newline="")
    assert lines_of(read_text(tmp_path / "a.txt")) == ["bell", "door"]
    assert read_object(tmp_path / "a.json") == read_yaml(tmp_path / "a.yaml") == {"a": 1}
    assert read_csv(tmp_path / "a.csv", ("index", "name")) == [{"index": "0", "name": "bell"}]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_line_ends_end_lines(separator: str, tmp_path: Path) -> None:
    """`str.splitlines` cuts at eight other signs, which captions from web pages hold."""
    caption = f"a dog{separator}barking"
    assert lines_of(f"{caption}\nrain\r\nsea\rwind") == [caption, "rain", "sea", "wind"]
    (tmp_path / "a.csv").write_text(f"name\n{caption}\n", encoding="utf-8")
    assert read_csv(tmp_path / "a.csv", ("name",)) == [{"name": caption}]


def test_lines_are_counted_as_they_are_seen() -> None:
    """Numbers of lines in messages are those of an editor, and a last end makes no line."""
    assert lines_of("") == []
    assert lines_of("a") == lines_of("a\n") == ["a"]
    assert lines_of("\na\n\n") == ["", "a", ""]


def test_other_encodings_and_sizes_are_refused_by_name(tmp_path: Path) -> None:
    """One Latin-1 file stopped a whole preparation without its name."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"T\xfcr")
    with pytest.raises(ValueError, match=r"a.txt is not text in UTF-8: save it so .*byte 1"):
        read_text(path)
    path.write_bytes(b"12345")
    assert read_text(path, most_bytes=5) == "12345"
    with pytest.raises(ValueError, match=r"a.txt has more than .* MiB"):
        read_text(path, most_bytes=4)
    with pytest.raises(FileNotFoundError, match="is missing, or is no file"):
        read_text(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "NaN", "[Infinity]", "1e999", "9" * 5000, '"\\ud800"', "1 2"],
)
def test_what_is_not_json(text: str) -> None:
    """Python reads more than JSON is, and raises what is no `ValueError` at depth."""
    with pytest.raises(ValueError, match="a.json: not JSON"):
        parse_json(text, "a.json")


def test_json_is_read_as_it_is() -> None:
    values = {"a": [1, 2.5, True, None, "\U0001f600 \u2028"]}
    text = '{"a": [1, 2.5, true, null, "\\ud83d\\ude00 \\u2028"]}'
    assert parse_json(text, "a.json") == parse_json(text.encode(), "a.json") == values


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    "text",
    [BOMB, "a: &a [*a]", "[" * 5000, "a: [", "a: !!timestamp x", "a: 2024-99-99", "a: \x00"],
)
def test_what_is_not_yaml(text: str) -> None:
    """Half a kilobyte of aliases stands for gigabytes, and PyYAML raises several kinds of errors."""
    with pytest.raises(ValueError, match=r"a.yaml is not valid YAML"):
        parse_yaml(text, "a.yaml")


LONG = "9" * 5000


@pytest.mark.parametrize("number", [LONG, f"-{LONG}", "0x" + "f" * 5000, ":".join(["59"] * 4000)])
def test_numbers_of_thousands_of_digits_are_one_clear_line(number: str) -> None:
    """Python tells how to convert them all the same, and of which file it was is not said."""
    texts = [lambda: shaped(Facts, parse_yaml(f"share: {number}\nname: a", "f.yaml"), "f.yaml")]
    if number.strip("-") == LONG:
        texts.append(lambda: parse_json(f'{{"a": [{number}]}}', "f.yaml"))
    for read in texts:
        with pytest.raises(ValueError) as raised:
            read()
        assert str(raised.value).startswith("f.yaml")
        assert "a whole number of more than 4300 digits" in str(raised.value)


def test_aliases_within_the_limit_are_read() -> None:
    """An alias counts for all that it stands for, and the last value that is allowed is read."""
    assert parse_yaml("a: &a [1, 2]\nb: *a", "a.yaml") == {"a": [1, 2], "b": [1, 2]}
    thousand = f"&a [{'1,' * 999}]"  # with the list itself
    aliases = "*a," * (MOST_VALUES // 1000 - 2)
    longest = f"[{thousand},{aliases}{'1,' * 999}]"
    assert sum(1 if value == 1 else 1000 for value in parse_yaml(longest, "a.yaml")) == 99_999
    with pytest.raises(ValueError, match=f"more than {MOST_VALUES} values"):
        parse_yaml(f"[{thousand},{aliases}{'1,' * 1000}]", "a.yaml")


@dataclass(frozen=True)
class Inner:
    """An object within an object."""

    count: int


@dataclass(frozen=True)
class Facts:
    """One field of each kind."""

    name: str
    share: float
    inner: Inner
    sizes: tuple[int, ...] = ()
    hours: dict[str, float] | None = None

    def __post_init__(self) -> None:
        if self.share < 0:
            raise ValueError("share is below 0")


WHOLE = {"name": "a", "share": 1, "inner": {"count": 2}}


def test_an_object_in_its_shape() -> None:
    values = {**WHOLE, "sizes": [1, 2], "hours": {"a": 1}, "other": "passed over"}
    facts = shaped(Facts, values, "f.json")
    assert facts == Facts("a", 1.0, Inner(2), (1, 2), {"a": 1.0})
    assert type(facts.share) is float
    assert shaped(Facts, WHOLE, "f.json") == Facts("a", 1.0, Inner(2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 1}, "f.json: name is 1; it must be a text"),
        ({"share": True}, "f.json: share is True; it must be a finite number"),
        ({"share": float("inf")}, "share is inf; it must be a finite number"),
        ({"share": 10**400}, "share is 1000.*; it must be a finite number"),
        ({"share": -1}, "f.json: share is below 0"),
        ({"inner": []}, r"inner is \[\]; it must be an object"),
        ({"inner": {}}, "f.json: inner lacks count"),
        ({"inner": {"count": 1.0}}, "inner: count is 1.0; it must be a whole number"),
        ({"inner": {"count": 2**63}}, "count is 9223372036854775808; it must be a whole number"),
        ({"sizes": "12"}, "sizes is '12'; it must be a list"),
        ({"sizes": [1, "2"]}, "sizes is '2'; it must be a whole number"),
        ({"hours": {"a": "b"}}, "hours is 'b'; it must be a finite number"),
    ],
)
def test_what_has_another_shape(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shaped(Facts, WHOLE | changes, "f.json")


def test_values_are_shown_briefly_and_without_what_a_terminal_obeys() -> None:
    assert shown("\x1b[2J") == r"'\x1b[2J'"
    assert shown("a" * 1000) == "'" + "a" * 76 + "..."
    assert printable("größe \x1b]0;a\x07 \u202e\udcff") == r"größe \x1b]0;a\x07 \u202e\udcff"


def test_the_home_of_an_unknown_user_is_a_path_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/place")
    assert expanded("~/a") == Path("/place/a")
    assert expanded("~no-such-user/a") == Path("~no-such-user/a")
