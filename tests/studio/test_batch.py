"""Folders of assets: what a take follows from, what is made again, and what a run that was ended leaves."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.toys import save_pipeline
from woosh import audio, catalogue
from woosh.studio.batch import (
    Made,
    MakeSound,
    Origin,
    Outcome,
    Take,
    check_takes,
    make_assets,
    plan_batch,
    takes_of,
)
from woosh.studio.manifest import WHOLE, Entry, Journal, Shard, read_entries
from woosh.studio.sheets import AssetRow

ROWS = [
    AssetRow("doors/creak", "a door creaks", count=3, seconds=0.1),
    AssetRow("rain", "heavy rain", seconds=0.2, format="ogg", loudness=-30.0),
    AssetRow("bell", "a bell", seconds=0.1, category="BELLHand", format="flac"),
]


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    folder = save_pipeline(tmp_path_factory.mktemp("models") / "toy", max_frames=100)
    return Origin.of(catalogue.describe_model(folder), "auto")


def noise() -> MakeSound:
    """Sounds that follow from the seed alone."""

    def make(take: Take) -> Made:
        samples = take.request.samples(48_000)
        drawn = 0.1 * np.random.default_rng(take.seed).standard_normal((1, samples))
        sound = drawn.astype(np.float32)
        return Made(sound, take.seed, audio.loudness(sound), {})

    return make


def make_all(
    folder: Path, rows: list[AssetRow], origin: Origin, shard: Shard = WHOLE
) -> list[Outcome]:
    return list(make_assets(plan_batch(folder, takes_of(rows), origin, shard), noise))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def made(outcomes: list[Outcome]) -> list[str]:
    return [outcome.take.path for outcome in outcomes if outcome.entry is not None]


def test_a_sheet_becomes_files_and_a_manifest(tmp_path: Path, origin: Origin) -> None:
    folder = tmp_path / "assets"
    outcomes = make_all(folder, ROWS, origin)
    names = [*(f"doors/creak-0{take}.wav" for take in (1, 2, 3)), "rain.ogg", "bell.flac"]
    assert made(outcomes) == names
    assert sorted(contents(folder)) == sorted([*names, "manifest.csv", "manifest.json"])
    entries = json.loads((folder / "manifest.json").read_text())["assets"]
    assert [entry["path"] for entry in entries] == sorted(names)
    bell, creak = entries[:2]
    assert (bell["category"], bell["licence"], bell["model"]) == ("BELLHand", "cc-by-4.0", "toy")
    assert (creak["take"], creak["seconds"], creak["loop_start"]) == (1, 0.1, None)
    assert creak["seed"] == audio.read_metadata(folder / creak["path"])["seed"]
    assert creak["loudness"] == pytest.approx(
        audio.loudness(audio.read_audio(folder / creak["path"])), abs=0.1
    )
    table = (folder / "manifest.csv").read_text().splitlines()
    assert table[0].split(",") == [field.name for field in dataclasses.fields(Entry)]
    assert len(table) == 6


def test_a_second_run_makes_nothing_and_loads_nothing(tmp_path: Path, origin: Origin) -> None:
    make_all(tmp_path, ROWS, origin)
    before = contents(tmp_path)

    def load() -> MakeSound:
        raise AssertionError("a model was loaded")

    plan = plan_batch(tmp_path, takes_of(ROWS), origin, WHOLE)
    assert list(make_assets(plan, load)) == []
    assert contents(tmp_path) == before


def test_rows_that_come_or_move_change_no_other_sound(tmp_path: Path, origin: Origin) -> None:
    make_all(tmp_path, ROWS, origin)
    before = contents(tmp_path)
    more = AssetRow("new", "a door creaks", seconds=0.1)
    rows = [ROWS[2], more, ROWS[1], dataclasses.replace(ROWS[0], count=4)]
    assert made(make_all(tmp_path, rows, origin)) == ["new.wav", "doors/creak-04.wav"]
    after = contents(tmp_path)
    assert {name: after[name] for name in before if "manifest" not in name} == {
        name: data for name, data in before.items() if "manifest" not in name
    }
    whole = tmp_path / "again"
    make_all(whole, rows, origin)
    assert {name: data for name, data in after.items()} == contents(whole)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a gate creaks"},
        {"negative": "music"},
        {"seconds": 0.2},
        {"steps": 2},
        {"guidance": 3.0},
        {"seed": 4},
        {"loudness": -20.0},
        {"category": "DOORWood"},
        {"loop": True},
        {"stereo": True},
    ],
)
def test_every_setting_counts(origin: Origin, change: dict) -> None:
    """A row with any other setting has another key; and settings other than words and seed keep the take."""
    row = ROWS[0]
    before, after = Take(row, 1), Take(dataclasses.replace(row, **change), 1)
    assert origin.key(before) != origin.key(after)
    assert (before.seed == after.seed) == (not {"prompt", "seed"} & set(change))


def test_model_and_precision_count_and_unset_columns_do_not(origin: Origin, tmp_path: Path) -> None:
    take = Take(ROWS[0], 1)
    key = origin.key(take)
    assert dataclasses.replace(origin, precision="bfloat16").key(take) != key
    assert dataclasses.replace(origin, weights="0").key(take) != key
    assert origin.key(Take(dataclasses.replace(ROWS[0], negative=None, loop=False), 1)) == key
    copy = tmp_path / "toy"
    shutil.copytree(origin.info.folder, copy)
    assert Origin.of(catalogue.describe_model(copy), "auto").key(take) == key
    index = copy / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"default_steps": 9}))
    assert Origin.of(catalogue.describe_model(copy), "auto").key(take) != key


def test_a_changed_row_is_made_again_and_others_are_orphans(tmp_path: Path, origin: Origin) -> None:
    make_all(tmp_path, ROWS, origin)
    rows = [dataclasses.replace(ROWS[0], loudness=-20.0, count=2)]
    plan = plan_batch(tmp_path, takes_of(rows), origin, WHOLE)
    assert [take.path for take in plan.changed] == ["doors/creak-01.wav", "doors/creak-02.wav"]
    assert plan.orphaned == ["bell.flac", "doors/creak-03.wav", "rain.ogg"]
    make_all(tmp_path, rows, origin)
    values = json.loads((tmp_path / "manifest.json").read_text())
    assert [entry["path"] for entry in values["leftover"]] == plan.orphaned
    assert (tmp_path / "rain.ogg").exists()
    assert made(make_all(tmp_path, ROWS[1:], origin)) == []  # an orphan that comes back is known


def test_a_file_that_was_edited_is_not_replaced(tmp_path: Path, origin: Origin) -> None:
    """What somebody else wrote, or changed by hand, is never lost."""
    make_all(tmp_path, ROWS, origin)
    audio.write_audio(tmp_path / "bell.flac", np.ones((1, 10), np.float32))
    with pytest.raises(ValueError, match=r"bell.flac is not what `woosh batch` wrote there"):
        plan_batch(tmp_path, takes_of(ROWS), origin, WHOLE)
    (tmp_path / "bell.flac").unlink()
    assert made(make_all(tmp_path, ROWS, origin)) == ["bell.flac"]


def test_shards_make_the_whole(tmp_path: Path, origin: Origin) -> None:
    """Three machines without a word between them: their folders laid together are the whole run, bit for bit."""
    whole, joined = tmp_path / "whole", tmp_path / "joined"
    make_all(whole, ROWS, origin)
    parts = []
    for index in (1, 2, 3):
        folder = tmp_path / str(index)
        parts += made(make_all(folder, ROWS, origin, Shard(index, 3)))
        shutil.copytree(folder, joined, dirs_exist_ok=True)
    assert sorted(parts) == sorted(take.path for take in takes_of(ROWS))
    assert (joined / "manifest-2of3.json").exists()
    assert made(make_all(joined, ROWS, origin)) == []
    assert contents(joined) == contents(whole)


def test_a_sound_that_fails_leaves_the_others(tmp_path: Path, origin: Origin) -> None:
    (tmp_path / "doors").write_text("no folder")
    outcomes = make_all(tmp_path, ROWS, origin)
    assert made(outcomes) == ["rain.ogg", "bell.flac"]
    assert [outcome.error is None for outcome in outcomes] == [False] * 3 + [True] * 2
    (tmp_path / "doors").unlink()
    assert len(made(make_all(tmp_path, ROWS, origin))) == 3


def test_a_run_that_was_ended_goes_on(tmp_path: Path, origin: Origin) -> None:
    """Also where it was ended while it wrote its journal, or before a sound took its name."""
    whole, ended = tmp_path / "whole", tmp_path / "ended"
    make_all(whole, ROWS, origin)
    outcomes = make_assets(plan_batch(ended, takes_of(ROWS), origin, WHOLE), noise)
    for _ in range(3):
        next(outcomes)
    outcomes.close()
    assert not (ended / "manifest.json").exists()
    with (ended / "manifest.jsonl").open("a") as journal:
        journal.write('{"path": "rain.o')
    (ended / "doors" / "creak-03.wav").unlink()
    assert made(make_all(ended, ROWS, origin)) == ["doors/creak-03.wav", "rain.ogg", "bell.flac"]
    assert contents(ended) == contents(whole)


def test_entries_of_two_runs_under_one_key_are_found(tmp_path: Path, origin: Origin) -> None:
    """One sound may be known under two keys, such as before and after a default was written out: the right one counts."""
    (outcome,) = make_all(tmp_path, ROWS[2:], origin)
    assert outcome.entry is not None
    Journal(tmp_path, Shard(1, 2)).add(dataclasses.replace(outcome.entry, key="another"))
    assert len(read_entries(tmp_path)) == 2
    assert made(make_all(tmp_path, ROWS[2:], origin)) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"assets": []}, "lacks leftover"),
        ({"assets": [{"path": "a.wav"}], "leftover": []}, "lacks name"),
        ([], "must hold a JSON object"),
    ],
)
def test_damaged_manifests_are_told(
    tmp_path: Path, origin: Origin, damage: object, message: str
) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(damage))
    with pytest.raises(ValueError, match=rf"manifest.json.*{message}"):
        plan_batch(tmp_path, takes_of(ROWS), origin, WHOLE)


@pytest.mark.parametrize("path", ["../a.wav", "/a.wav", "a", "a.txt", "doors/../../a.wav"])
def test_a_manifest_names_no_file_outside(tmp_path: Path, origin: Origin, path: str) -> None:
    make_all(tmp_path, ROWS[2:], origin)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"bell.flac"', json.dumps(path)))
    with pytest.raises(ValueError, match=r"manifest.json.*(name|path) "):
        plan_batch(tmp_path, takes_of(ROWS), origin, WHOLE)


def test_two_takes_never_share_a_file(origin: Origin) -> None:
    with pytest.raises(ValueError, match="rows 'a' and 'A-01' both make"):
        takes_of([AssetRow("a", "x", count=2), AssetRow("A-01", "y")])
    with pytest.raises(ValueError, match="more than 100000 sounds"):
        takes_of([AssetRow(f"a{index}", "x", count=10_000) for index in range(11)])
    with pytest.raises(ValueError, match="row 'a': .* use a shorter prompt"):
        check_takes(takes_of([AssetRow("a", "x " * 1500)]), origin.info)


def test_loops_have_their_points_in_the_manifest(tmp_path: Path, origin: Origin) -> None:
    (outcome,) = make_all(tmp_path, [dataclasses.replace(ROWS[2], loop=True)], origin)
    assert outcome.entry is not None
    assert (outcome.entry.loop_start, outcome.entry.loop_end) == (0, 4799)
