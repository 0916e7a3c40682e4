"""Indexing a folder: what is heard, what is known, what is told, and what an interruption leaves."""

import dataclasses
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.sounds import RATE, sound, write_sounds
from tests.toys import make_clap
from woosh.audio import write_audio
from woosh.embeddings.clap import save_clap
from woosh.embeddings.embedders import Embedder, Heard, load_embedder, read_to_embed
from woosh.search.hearing import by_threads
from woosh.search.index import DATABASE, FOLDER_NAME, VECTORS, SoundIndex, open_index
from woosh.search.update import Report, update_index


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    folder = tmp_path_factory.mktemp("aligners") / "toy-clap"
    save_clap(make_clap(), folder)
    return load_embedder(str(folder))


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Six sounds in two folders, and what is no sound."""
    folder = write_sounds(tmp_path / "sounds", range(4))
    write_sounds(folder / "more" / "deep", range(4, 6))
    write_sounds(folder / ".hidden", range(6, 7))
    (folder / "notes.txt").write_text("no sound")
    return folder


def update(folder: Path, embedder: Embedder, place: Path | None = None) -> Report:
    return update_index(folder, place or folder / FOLDER_NAME, embedder, "toy-clap", by_threads(2))


def search(index: SoundIndex, path: Path, embedder: Embedder, count: int = 10) -> list[str]:
    vector = embedder.embed(read_to_embed(path, embedder)).numpy()
    return [
        match.path.relative_to(index.folder).as_posix() for match in index.search(vector, count)
    ]


def counting(embedder: Embedder, limit: int | None = None) -> tuple[Embedder, list[int]]:
    """The same embedder, and the lengths of what it was given; past a limit it is interrupted."""
    lengths: list[int] = []

    def listen(audio: torch.Tensor) -> Heard:
        if len(lengths) == limit:
            raise KeyboardInterrupt
        lengths.append(len(audio))
        return embedder.listen(audio)

    return dataclasses.replace(embedder, listen=listen), lengths


def test_every_sound_is_found_by_itself(sounds: Path, embedder: Embedder) -> None:
    report = update(sounds, embedder)
    assert report == Report(6, embedded=6, reused=0, unchanged=0, removed=0, problems={})
    index = open_index(sounds)
    assert index.folder == sounds.resolve() and index.model == "toy-clap"
    for name in ("clip-0.wav", "clip-3.wav", "more/deep/clip-5.wav"):
        assert search(index, sounds / name, embedder, 1) == [name]
    matches = index.search(
        embedder.embed(read_to_embed(sounds / "clip-1.wav", embedder)).numpy(), 9
    )
    assert len(matches) == 6
    assert matches[0].score == pytest.approx(1, abs=2e-3) and matches[0].seconds == 0.5
    expected = [
        float(
            embedder.embed(read_to_embed(match.path, embedder))
            @ embedder.embed(read_to_embed(sounds / "clip-1.wav", embedder))
        )
        for match in matches
    ]
    scores = [match.score for match in matches]
    assert scores == pytest.approx(expected, abs=2e-3)
    assert scores == sorted(scores, reverse=True)


def test_only_what_changed_is_heard_again(sounds: Path, embedder: Embedder) -> None:
    update(sounds, embedder)
    counted, lengths = counting(embedder)
    assert update(sounds, counted).unchanged == 6 and lengths == []
    write_audio(sounds / "clip-0.wav", sound(100), RATE)  # changed
    (sounds / "clip-1.wav").rename(sounds / "renamed.wav")  # known by its content
    os.utime(sounds / "clip-2.wav", ns=(1, 1))  # touched
    (sounds / "clip-3.wav").unlink()  # removed
    write_sounds(sounds, range(50, 51))  # new
    report = update(sounds, counted)
    assert report == Report(6, embedded=2, reused=2, unchanged=2, removed=2, problems={})
    assert len(lengths) == 2
    index = open_index(sounds)
    assert search(index, sounds / "renamed.wav", embedder, 1) == ["renamed.wav"]
    assert search(index, sounds / "clip-0.wav", embedder, 1) == ["clip-0.wav"]
    found = search(index, sounds / "clip-0.wav", embedder)
    assert sorted(found) == [
        "clip-0.wav",
        "clip-2.wav",
        "clip-50.wav",
        "more/deep/clip-4.wav",
        "more/deep/clip-5.wav",
        "renamed.wav",
    ]


def test_files_that_changed_places(sounds: Path, embedder: Embedder) -> None:
    update(sounds, embedder)
    first, second, spare = (sounds / name for name in ("clip-0.wav", "clip-1.wav", "spare"))
    first.rename(spare)
    second.rename(first)
    spare.rename(second)
    for place, path in enumerate((first, second)):
        os.utime(path, ns=(place, place))
    assert update(sounds, embedder).sounds == 6
    index = open_index(sounds)
    for path in (first, second):
        assert search(index, path, embedder, 1) == [path.name]


def test_an_interrupted_update_goes_on(sounds: Path, embedder: Embedder) -> None:
    stopped, lengths = counting(embedder, limit=4)
    with pytest.raises(KeyboardInterrupt):
        update(sounds, stopped)
    assert len(lengths) == 4
    with pytest.raises(ValueError, match="not complete: run `woosh index` again"):
        open_index(sounds)
    counted, lengths = counting(embedder)
    assert update(sounds, counted).embedded == len(lengths) == 2
    assert len(search(open_index(sounds), sounds / "clip-0.wav", embedder)) == 6


def test_an_old_index_answers_while_a_new_one_is_unfinished(
    sounds: Path, embedder: Embedder
) -> None:
    update(sounds, embedder)
    write_sounds(sounds, range(10, 14))
    (sounds / "clip-0.wav").unlink()
    stopped, _ = counting(embedder, limit=3)
    with pytest.raises(KeyboardInterrupt):
        update(sounds, stopped)
    index = open_index(sounds)
    assert index.waiting() == 3
    assert "clip-1.wav" in search(index, sounds / "clip-1.wav", embedder)
    assert update(sounds, embedder) == Report(9, 1, 0, 8, 1, {})
    assert open_index(sounds).waiting() == 0


def test_many_removed_sounds_leave_no_holes(sounds: Path, embedder: Embedder) -> None:
    update(sounds, embedder)
    shutil.rmtree(sounds / "more")
    assert update(sounds, embedder).removed == 2
    index = open_index(sounds)
    assert len(index.vectors) == 4
    assert len(search(index, sounds / "clip-0.wav", embedder)) == 4


def test_what_cannot_be_heard_is_told_and_the_rest_is_indexed(
    sounds: Path, embedder: Embedder
) -> None:
    (sounds / "broken.wav").write_bytes(b"RIFF")
    (sounds / "empty.flac").write_bytes(b"")
    write_audio(sounds / "short.wav", np.full((1, 1), 0.5, dtype=np.float32), RATE)
    write_audio(sounds / "silent.wav", np.zeros((1, 100), dtype=np.float32), RATE)
    write_audio(sounds / "cut.flac", sound(9), RATE)
    whole = (sounds / "cut.flac").read_bytes()
    (sounds / "cut.flac").write_bytes(whole[: len(whole) // 2])
    os.close(os.open(os.fsencode(sounds) + b"/\xff.wav", os.O_CREAT | os.O_WRONLY))
    report = update(sounds, embedder)
    problems = report.problems
    assert set(problems) == {"broken.wav", "empty.flac", "cut.flac", "'\\udcff.wav'"}
    assert "rename" in problems["'\\udcff.wav'"]
    assert report.sounds == 8
    counted, lengths = counting(embedder)
    again = update(sounds, counted)
    assert again.problems == problems and lengths == []
    shutil.copyfile(sounds / "clip-0.wav", sounds / "broken.wav")
    assert "broken.wav" not in update(sounds, embedder).problems


def test_only_the_first_minute_is_heard(tmp_path: Path, embedder: Embedder) -> None:
    write_audio(tmp_path / "long.flac", np.tile(sound(1), 140), RATE)
    counted, lengths = counting(embedder)
    update(tmp_path, counted)
    assert lengths == [60 * embedder.sample_rate]
    (match,) = open_index(tmp_path).search(embedder.embed(torch.zeros(100)).numpy(), 1)
    assert match.seconds == 70


def test_an_index_elsewhere_and_a_library_that_moves(
    sounds: Path, embedder: Embedder, tmp_path: Path
) -> None:
    update(sounds, embedder, tmp_path / "elsewhere")
    assert not (sounds / FOLDER_NAME).exists()
    assert open_index(tmp_path / "elsewhere").folder == sounds.resolve()
    update(sounds, embedder, sounds / "own")
    moved = sounds.rename(tmp_path / "moved # 100%")
    index = open_index(moved / "own")
    assert index.folder == moved.resolve()
    assert search(index, moved / "clip-0.wav", embedder, 1) == ["clip-0.wav"]
    assert update(moved, embedder, moved / "own").unchanged == 6
    with pytest.raises(ValueError, match="made for another folder"):
        update(moved, embedder, tmp_path / "elsewhere")


def test_an_index_of_another_model_is_left_alone(sounds: Path, embedder: Embedder) -> None:
    update(sounds, embedder)
    before = (sounds / FOLDER_NAME / DATABASE).read_bytes()
    other = dataclasses.replace(embedder, weights="others")
    with pytest.raises(ValueError, match="made for another weights"):
        update(sounds, other)
    assert (sounds / FOLDER_NAME / DATABASE).read_bytes() == before


def test_an_empty_folder_does_not_empty_the_index(sounds: Path, embedder: Embedder) -> None:
    place = sounds.parent / "index"
    update(sounds, embedder, place)
    away = sounds.rename(sounds.parent / "away")
    sounds.mkdir()
    with pytest.raises(ValueError, match="holds no audio file"):
        update(sounds, embedder, place)
    with pytest.raises(FileNotFoundError, match="no folder"):
        update(sounds / "missing", embedder, place)
    sounds.rmdir()
    away.rename(sounds)
    assert update(sounds, embedder, place).unchanged == 6


def test_damage(sounds: Path, embedder: Embedder) -> None:
    with pytest.raises(FileNotFoundError, match="make one with `woosh index"):
        open_index(sounds)
    update(sounds, embedder)
    place = sounds / FOLDER_NAME
    vectors = (place / VECTORS).read_bytes()
    (place / VECTORS).write_bytes(vectors[:100])
    with pytest.raises(ValueError, match="run `woosh index` again"):
        open_index(sounds)
    counted, lengths = counting(embedder)
    assert update(sounds, counted).unchanged == 6 and lengths == []
    assert len(search(open_index(sounds), sounds / "clip-0.wav", embedder)) == 6
    whole = (place / DATABASE).read_bytes()
    # SQLite quotes the second in its error, which is then no text itself.
    for damaged in (b"no database" * 100, whole.replace(b"CREATE TABLE", b"CREATE T\xd4BLE")):
        (place / DATABASE).write_bytes(damaged)
        for call in (lambda: open_index(sounds), lambda: update(sounds, embedder)):
            with pytest.raises(ValueError, match=f"{DATABASE} cannot be used .* delete the index"):
                call()


def test_an_index_of_a_later_version(sounds: Path, embedder: Embedder) -> None:
    update(sounds, embedder)
    with sqlite3.connect(sounds / FOLDER_NAME / DATABASE) as database:
        database.execute("UPDATE settings SET value = '99' WHERE name = 'format'")
    database.close()
    with pytest.raises(ValueError, match="no index of this version"):
        open_index(sounds)
    with pytest.raises(ValueError, match="no index of this version"):
        update(sounds, embedder)


def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(
    embedder: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sounds were lost from the index: here its path is too long for the system unless it is relative."""
    monkeypatch.chdir(tmp_path)
    while len(os.getcwd()) < os.pathconf(tmp_path, "PC_PATH_MAX") - 500:  # noqa: PTH109
        os.mkdir("d" * 200)  # noqa: PTH102
        os.chdir("d" * 200)
    near, far, place = Path("sounds"), Path.cwd() / "sounds", tmp_path / "index"
    inside = "/".join("e" * 200 for _ in range(3))
    (near / inside).mkdir(parents=True)
    for name, seed in (("a.wav", 0), ("b.wav", 1), (f"{inside}/deep.wav", 2)):
        write_audio(near / name, sound(seed), RATE)
    assert update(near, embedder, place).embedded == 3
    (near / "a.wav").unlink()
    report = update(far, embedder, place)
    assert (report.sounds, report.embedded, report.removed) == (2, 0, 1)
    ((told, reason),) = report.problems.items()
    assert inside.startswith(told) and reason == "cannot be read: File name too long"
    assert update(near, embedder, place) == Report(2, 0, 0, 2, 0, problems={})


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file that cannot be read")
def test_what_cannot_be_read_at_present_stays_as_it_was_and_is_tried_again(
    sounds: Path, embedder: Embedder, tmp_path: Path
) -> None:
    """A passing fault of a disk or a network was remembered until the file changed, and the sound was lost meanwhile."""
    update(sounds, embedder)
    heard = (sounds / "clip-0.wav").rename(tmp_path / "clip-0.wav")
    for name in ("clip-0.wav", "new.wav"):
        (sounds / name).symlink_to("/proc/self/mem")  # a regular file whose reading fails
    report = update(sounds, embedder)
    assert report.sounds == 6 and report.removed == 0
    assert report.problems == dict.fromkeys(("clip-0.wav", "new.wav"), "Input/output error")
    index = open_index(sounds)
    assert search(index, heard, embedder, 1) == ["clip-0.wav"]
    with closing(sqlite3.connect(index.place / DATABASE)) as database:
        assert not database.execute("SELECT * FROM sounds WHERE path = 'new.wav'").fetchall()
    (sounds / "clip-0.wav").unlink()
    heard.rename(sounds / "clip-0.wav")
    (sounds / "new.wav").unlink()
    assert update(sounds, embedder) == Report(6, 0, 0, 6, 0, {})


def test_what_earlier_versions_could_not_read_is_tried_again(
    sounds: Path, embedder: Embedder
) -> None:
    """Their indices hold such files with the reason and without content."""
    update(sounds, embedder)
    with closing(sqlite3.connect(sounds / FOLDER_NAME / DATABASE)) as database, database:
        database.execute(
            "UPDATE sounds SET content = '', embedding = NULL, problem = 'cannot be read' WHERE path = 'clip-0.wav'"
        )
    assert update(sounds, embedder) == Report(6, 1, 0, 5, 0, {})
