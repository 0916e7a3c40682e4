"""Sheets of assets: what they say is read as it stands, and whatever is wrong names its row and column."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from woosh.studio.sheets import MOST_ROWS, AssetRow, check_name, folded, read_assets

# Without line ends, of which a CSV file keeps one kind, and without what is stripped or refused.
LETTERS = st.characters(categories=("L", "N", "P", "S"))
# YAML takes 1e-07 for a text.
THOUSANDTHS = st.integers(1, 600_000).map(lambda number: number / 1000)
WORDS = st.text(LETTERS, min_size=1, max_size=20)
ROWS = st.builds(
    AssetRow,
    name=st.from_regex(r"[a-z0-9_]{1,8}(/[a-z0-9_]{1,8})?", fullmatch=True).filter(
        lambda name: not any(part in "aux con nul prn" for part in name.split("/"))
    ),
    prompt=WORDS,
    negative=st.none() | WORDS,
    seconds=THOUSANDTHS,
    count=st.none() | st.integers(1, 10_000),
    seed=st.none() | st.integers(0, 2**52),
    steps=st.none() | st.integers(1, 1000),
    guidance=st.none() | THOUSANDTHS,
    loudness=st.none() | st.integers(-70_000, 0).map(lambda number: number / 1000),
    format=st.sampled_from(["wav", "flac", "ogg"]),
    category=st.sampled_from([None, "DOORWood", "ANMLDog"]),
    loop=st.booleans(),
)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def as_csv(rows: list[AssetRow]) -> str:
    text = io.StringIO(newline="")
    names = list(vars(rows[0]))
    writer = csv.writer(text)
    writer.writerow(names)
    for row in rows:
        cells = [getattr(row, name) for name in names]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return text.getvalue()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROWS, min_size=1, max_size=4, unique_by=lambda row: folded(row.name)))
def test_what_is_written_is_read(tmp_path: Path, rows: list[AssetRow]) -> None:
    """CSV, with and without a byte-order mark, and YAML give the same rows."""
    text = as_csv(rows)
    assert read_assets(write(tmp_path / "a.csv", text)) == rows
    assert read_assets(write(tmp_path / "b.csv", b"\xef\xbb\xbf" + text.encode())) == rows
    listed = json.dumps({"assets": [vars(row) for row in rows]}, ensure_ascii=False)  # JSON is YAML
    assert read_assets(write(tmp_path / "c.yaml", listed)) == rows


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=60)
    | st.text('name,prompt"\n\r;\0:&*[]{}- éß1', max_size=40).map(str.encode),
    st.sampled_from(["csv", "yaml"]),
)
def test_any_file_is_read_or_refused(tmp_path: Path, data: bytes, extension: str) -> None:
    """Whatever stands in a file, it is a sheet or one error with the file's name."""
    head = b"name,prompt,count\n" if extension == "csv" else b"assets:\n"
    path = write(tmp_path / f"any.{extension}", head + data)
    try:
        assert read_assets(path)
    except ValueError as error:
        assert str(path) in str(error)


HEAD = "name,prompt,seconds,count,loop\n"
CSV_FAULTS = {
    "unknown column": ("name,prompt,secnds\n", "row 1: unknown column 'secnds': the columns are"),
    "semicolons": ("name;prompt\na;b\n", "save the sheet with commas"),
    "column twice": ("name,prompt,name\n", "row 1: column name stands there 2 times"),
    "no name": (HEAD + ",rain,,,\n", "row 2: column name is empty"),
    "no prompts": ("name,seconds\na,1\n", "row 2 ('a'): column prompt is empty"),
    "a word for a number": (
        HEAD + "a,rain,five,,\n",
        "row 2 ('a'): column seconds is 'five'; it must be a finite number",
    ),
    "a decimal comma": (HEAD + 'a,rain,"0,5",,\n', "column seconds is '0,5'"),
    "not finite": (HEAD + "a,rain,inf,,\n", "column seconds is 'inf'"),
    "thousands of digits": (HEAD + f"a,rain,,{'9' * 5000},\n", "column count is '999"),
    "half a take": (HEAD + "a,rain,,1.5,\n", "column count is '1.5'; it must be a whole number"),
    "no takes": (HEAD + "a,rain,,0,\n", "count must be from 1 to 10000, not 0"),
    "no length": (HEAD + "a,rain,0,,\n", "seconds must be above 0"),
    "maybe": (HEAD + "a,rain,,,maybe\n", "column loop is 'maybe'; it must be true or false"),
    "too many cells": (HEAD + "a,rain, heavy,,,,x\n", "row 2 has 7 cells and there are 5 columns"),
    "the third row": (HEAD + "a,rain,,,\n\nb,wind,x,,\n", "row 4 ('b'): column seconds"),
    "open quotation": (HEAD + 'a,"rain\n', "row 2 is not CSV"),
    "huge cell": (HEAD + f"a,{'x' * 200_000}\n", "row 2 is not CSV: field larger"),
    "NUL": (HEAD + "a,ra\0in,,,\n", "prompt 'ra\\x00in' holds a control character"),
    "escape": (HEAD + "a,\x1b[31mrain,,,\n", "holds a control character"),
    "nothing": ("", "holds no rows"),
    "no rows": (HEAD, "holds no rows"),
    "same name": (HEAD + "Door,a,,,\ndoor,b,,,\n", "2 rows share names"),
    "same name, other spelling": (HEAD + "é,a,,,\ne\u0301,b,,,\n", "2 rows share names"),
    "a million rows": ("name,prompt\n" + "a,b\n" * 10**6, f"more than {MOST_ROWS} rows"),
    "Latin-1": (b"name,prompt\nT\xfcr,b\n", "is not text in UTF-8"),
    "format": ("name,prompt,format\na,b,mp9\n", "format 'mp9' is none of"),
    "category": ("name,prompt,category\na,b,wood door\n", "category 'wood door' is no CatID"),
    "loudness": ("name,prompt,loudness\na,b,-90\n", "loudness must be from -70 to 0, not -90"),
}
YAML_FAULTS = {
    "a list": ("- name: a\n", "must hold names with values"),
    "another name": ("sounds: []\n", "must hold one name, assets"),
    "a row of text": ("assets: [door]\n", "row 1 must hold columns with values, not 'door'"),
    "unknown column": (
        "assets:\n- {name: a, prompt: b}\n- {name: c, promt: d}\n",
        "row 2: unknown column 'promt'",
    ),
    "a number for a column": ("assets: [{1: a}]\n", "row 1: unknown column 1"),
    "a number for a name": ("assets: [{name: 7, prompt: b}]\n", "column name is 7; it must be"),
    "an object": ("assets: [{name: a, prompt: {b: c}}]\n", "column prompt is {'b': 'c'}"),
    "aliases": (
        "assets:\n" + "".join(f"- &a{i} [{f'*a{i - 1},' * 9 if i else 'x'}]\n" for i in range(9)),
        "more than 100000 values",
    ),
    "NUL": ("assets:\n- {name: a, prompt: b\0}\n", "is not valid YAML"),
    "code": ("assets: !!python/object/apply:os.getcwd []\n", "is not valid YAML"),
    "nothing": ("", "must hold names with values"),
    "no rows": ("assets: []\n", "holds no rows"),
}


@pytest.mark.parametrize(
    ("extension", "text", "message"),
    [("csv", *case) for case in CSV_FAULTS.values()]
    + [("yaml", *case) for case in YAML_FAULTS.values()],
    ids=[*CSV_FAULTS, *(f"yaml, {name}" for name in YAML_FAULTS)],
)
def test_faults_name_file_row_and_column(
    tmp_path: Path, extension: str, text: str | bytes, message: str
) -> None:
    path = write(tmp_path / f"sheet.{extension}", text)
    with pytest.raises(ValueError, match=r"sheet\.") as caught:
        read_assets(path)
    assert message in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = "name,prompt,count\n" + "".join(f"s{index},rain,x\n" for index in range(6))
    with pytest.raises(ValueError, match=r"row 2 .*; row 3 .*; row 5 .*; and 2 more"):
        read_assets(write(tmp_path / "a.csv", text))


def test_other_files_are_no_sheets(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no sheet at"):
        read_assets(tmp_path / "gone.csv")
    with pytest.raises(ValueError, match="must end in .csv"):
        read_assets(write(tmp_path / "a.txt", "name,prompt\na,b\n"))


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../a",
        "a/../b",
        "/a",
        "a/",
        "a//b",
        "a\\b",
        "c:a",
        "a.wav",
        "-a",
        " a",
        "a ",
        "con",
    ]
    + [
        "doors/NUL",
        "COM\u00b9",
        "a\nb",
        "a\0b",
        "a*",
        "x" * 101,
        "/".join(["x" * 60] * 4),
        "\udce9",
    ],
)
def test_names_that_lead_astray_are_refused(name: str) -> None:
    """No name leaves its folder, means a device, or is another one on another system."""
    with pytest.raises(ValueError, match="name "):
        check_name(name)


@pytest.mark.parametrize("name", ["door", "SFX_Door-01", "türen/Tür 2", "扉/軋み", "contact", "_a"])
def test_plain_names_of_any_script_are_taken(name: str) -> None:
    assert AssetRow(name, "a door").name == name


@given(st.text(max_size=30))
def test_a_name_stays_in_its_folder(name: str) -> None:
    """Every name that is taken is a path below the folder, with its own parts alone."""
    try:
        check_name(name)
    except ValueError:
        return
    path = Path("assets") / f"{name}.wav"
    assert path.parts == ("assets", *f"{name}.wav".split("/"))
    assert ".." not in path.parts
