"""Recordings become shards: what they hold, doubles and faults, resuming, and that they are read back."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.torch import save_file

from tests.paths import ROOT
from tests.sounds import RATE, sound, write_sounds
from tests.toys import randomise
from woosh import cli
from woosh.audio import write_audio
from woosh.data import prepare as preparing
from woosh.data.prepare import Settings, prepare
from woosh.data.selection import PROBABILITY, Selection
from woosh.data.shards import Sample, read_shards, shard_urls, write_shard
from woosh.data.sources import load_source
from woosh.embeddings.tagging import hear_labels
from woosh.taggers.mobilenet import MobileNet
from woosh.whole_files import alone_in


def two_sounds(seed: int) -> np.ndarray:
    """Half a second of sound, three of silence, half a second of sound (1, S)."""
    quiet = np.zeros((1, 3 * RATE), np.float32)
    return np.concatenate([sound(seed), quiet, sound(seed + 1)], axis=1)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Seven rows: one recording with two sounds, two equal files, faults, and a stereo file at another rate."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    write_audio(folder / "two.wav", two_sounds(0), RATE)
    write_audio(folder / "dog.wav", sound(5), RATE)
    (folder / "again.wav").write_bytes((folder / "dog.wav").read_bytes())
    (folder / "broken.wav").write_bytes(b"RIFF")
    write_audio(folder / "silent.wav", np.zeros((1, 4800), np.float32), RATE)
    stereo = np.concatenate([sound(8), sound(9)])
    soundfile.write(folder / "stereo.flac", stereo.T, 44_100)
    rows = [
        {"file": "two.wav", "captions": ["two sounds"], "licence": "CC0-1.0", "author": "A"},
        {
            "file": "dog.wav",
            "captions": ["a dog", "a bark"],
            "licence": "CC-BY-4.0",
            "label": "dog",
        },
        {"file": "again.wav", "captions": ["a dog"]},
        {"file": "broken.wav", "captions": ["x"]},
        {"file": "silent.wav", "captions": ["nothing"]},
        {"file": "stereo.flac", "captions": ["wide"], "split": "validation"},
        {"file": "missing.wav", "captions": ["y"]},
    ]
    rows[0]["segments"] = [
        {"start": 0, "stop": 1, "captions": ["the first"]},
        {"start": 3, "stop": 4, "captions": ["the second", "the last"]},
    ]
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(json.dumps(row | {"seconds": 1}) for row in rows))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_samples_captions_and_report(manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "shards"
    report = prepare(manifest, output, Settings(files_per_shard=2))
    assert report.files == 7 and report.samples == 4
    assert report.rejected["again.wav"] == "the same as dog.wav"
    assert report.rejected["missing.wav"].startswith("cannot be read: No such file")
    assert report.rejected["broken.wav"].startswith("cannot read")
    assert "silent" in report.rejected["silent.wav"]
    assert set(report.rejected) == {"again.wav", "broken.wav", "missing.wav", "silent.wav"}
    assert set(report.licences) == {"CC0-1.0", "CC-BY-4.0", "not stated"}
    assert sum(report.licences.values()) == pytest.approx(report.hours_written)
    assert report.hours_written * 3600 == pytest.approx(4 * 0.5, abs=0.4)
    assert report.hours_found > report.hours_written + 2.5 / 3600
    assert json.loads((output / "report.json").read_text())["samples"] == 4
    samples = list(read_shards(shard_urls(str(output)), RATE))
    assert [sample.facts["captions"] for sample in samples] == [
        ["the first"],
        ["the second", "the last"],
        ["a dog", "a bark"],
        ["wide"],
    ]
    assert len({sample.key for sample in samples}) == 4
    assert samples[0].facts["author"] == "A" and samples[0].facts["start"] == 0
    assert samples[1].facts["start"] == pytest.approx(3.44, abs=0.01)
    second = samples[1].audio[0]
    expected = two_sounds(0)[0, round(samples[1].facts["start"] * RATE) :][: len(second)]
    assert np.abs(second - expected).max() < 2e-6  # 24 bits
    assert samples[3].audio.shape == (1, round(24_000 * RATE / 44_100))


def test_channels_and_rate_can_be_kept(manifest: Path, tmp_path: Path) -> None:
    prepare(manifest, tmp_path / "out", Settings(sample_rate=44_100, mono=False))
    *_, wide = read_shards(shard_urls(str(tmp_path / "out")), 44_100, mono=False)
    original, _ = soundfile.read(manifest.parent / "stereo.flac", always_2d=True)
    assert np.abs(wide.audio - original.T).max() < 2e-6


def test_long_sounds_are_cut_into_equal_pieces(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_audio(folder / "long-rain_01.wav", np.tile(sound(1, 1.0), 5), RATE)
    (folder / "dog.txt").write_text("a dog barking\n\na bark \n")
    write_audio(folder / "dog.wav", sound(2), RATE)
    prepare(folder, tmp_path / "out", Settings(longest_seconds=2.0))
    samples = list(read_shards(shard_urls(str(tmp_path / "out")), RATE))
    assert [sample.facts["captions"] for sample in samples] == [
        ["a dog barking", "a bark"],
        *[["long rain 01"]] * 3,
    ]
    joined = np.concatenate([sample.audio for sample in samples[1:]], axis=1)
    assert np.abs(joined - np.tile(sound(1, 1.0), 5)).max() < 2e-6


def test_several_processes_and_a_second_run_give_the_same_files(
    manifest: Path, tmp_path: Path
) -> None:
    settings = Settings(files_per_shard=1)
    first = prepare(manifest, tmp_path / "one", settings)
    assert prepare(manifest, tmp_path / "two", settings, workers=2) == first
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert prepare(manifest, tmp_path / "one", settings) == first
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.fixture(scope="module")
def ear(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A toy tagger that knows 40 words."""
    folder = tmp_path_factory.mktemp("ear")
    save_file(
        randomise(MobileNet(0.1, classes=40), 1, gain=3.0).state_dict(), folder / "ear.safetensors"
    )
    (folder / "labels.txt").write_text("\n".join(f"word{number}" for number in range(40)))
    return f"tagger:{folder / 'ear.safetensors'}"


def heard_in(folder: Path, ear: str) -> dict[str, dict[str, float]]:
    """What an ear hears in each sample of a folder of shards."""
    samples = read_shards(shard_urls(str(folder)), RATE)
    return {sample.key: hear_labels(ear, sample.audio, RATE) for sample in samples}


def dividing(heard: dict[str, dict[str, float]]) -> str:
    """The label that is heard in some samples and not in others, as far from the level as can be."""

    def margin(label: str) -> float:
        values = [labels[label] - PROBABILITY for labels in heard.values()]
        return min(max(values), -min(values)) if min(abs(v) for v in values) > 1e-4 else -1.0

    label = max(next(iter(heard.values())), key=margin)
    assert margin(label) > 0
    return label


def test_samples_are_kept_and_dropped_by_what_is_heard(
    manifest: Path, tmp_path: Path, ear: str
) -> None:
    whole = prepare(manifest, tmp_path / "whole", Settings(files_per_shard=1))
    heard = heard_in(tmp_path / "whole", ear)
    label = dividing(heard)
    having = {key for key, labels in heard.items() if labels[label] >= PROBABILITY}
    for name, keep, drop, kept, reason in (
        ("keep", (label,), (), having, "nothing to keep is heard"),
        ("drop", (), (label,), heard.keys() - having, f"{label} is heard"),
        ("both", (label,), (label,), set(), f"{label} is heard"),
    ):
        selection = Selection(keep, drop, "toy", partial(hear_labels, ear))
        settings = Settings(files_per_shard=1, selection=selection)
        report = prepare(manifest, tmp_path / name, settings)
        assert heard_in(tmp_path / name, ear).keys() == kept
        assert report.samples == len(kept) == whole.samples - sum(report.unselected.values())
        assert report.unselected[reason] > 0
        silent = {file: why for file, why in report.rejected.items() if file not in whole.rejected}
        assert set(silent.values()) <= set(report.unselected)
    assert whole.unselected == {}
    with pytest.raises(ValueError, match="made with"):
        prepare(manifest, tmp_path / "keep", Settings(files_per_shard=1))
    with pytest.raises(ValueError, match="made with"):
        prepare(manifest, tmp_path / "whole", settings)
    plan = json.loads((tmp_path / "keep" / "plan.json").read_text())
    assert plan["keep"] == [label] and plan["drop"] == [] and plan["ear"] == "toy"


def test_several_processes_and_a_second_run_hear_the_same(
    manifest: Path, tmp_path: Path, ear: str
) -> None:
    prepare(manifest, tmp_path / "whole", Settings())
    label = dividing(heard_in(tmp_path / "whole", ear))
    selection = Selection((), (label,), "toy", partial(hear_labels, ear))
    settings = Settings(files_per_shard=1, selection=selection)
    first = prepare(manifest, tmp_path / "one", settings)
    assert first.unselected
    assert prepare(manifest, tmp_path / "two", settings, workers=2) == first
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert prepare(manifest, tmp_path / "one", settings) == first
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_sound_in_any_piece_of_a_long_sample_is_heard(ear: str) -> None:
    parts = [sound(seed, 10.0) for seed in (1, 2)]
    apart = [hear_labels(ear, part, RATE) for part in parts]
    heard = hear_labels(ear, np.concatenate(parts, axis=1), RATE)
    for label, probability in heard.items():
        assert probability == pytest.approx(max(one[label] for one in apart), abs=0.01)


def test_the_command_listens(
    manifest: Path, tmp_path: Path, ear: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(manifest, tmp_path / "whole", Settings())
    label = dividing(heard_in(tmp_path / "whole", ear))
    arguments = ["data", "prepare", str(manifest), str(tmp_path / "out")]
    assert cli.main([*arguments, "--keep", label.upper(), "--ear", ear]) == 0
    out = capsys.readouterr().out
    assert "samples left out: nothing to keep is heard" in out and f"  keep: {label}" in out
    for wrong, message in (
        (["--keep", f"{label},horse", "--ear", ear], "no label is named 'horse'"),
        (["--drop", "wrd7", "--ear", ear], "near are: word7"),
        (["--drop", f"{label},", "--ear", ear], "words between commas"),
        (["--ear", ear], "add --keep or --drop"),
        (["--keep", label, "--ear", "tagger:nowhere.pt"], "nowhere.pt"),
        (["--drop", label, "--ear", ear], "was made with"),
    ):
        assert cli.main([*arguments, *wrong]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert lines[-1].startswith("woosh: error: ") and message in lines[-1], lines


def test_an_interrupted_run_goes_on(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, made = Settings(files_per_shard=1), []
    whole = prepare(manifest, tmp_path / "whole", settings)

    def interrupted(folder: Path, recordings: list, shard: Path, given: Settings) -> None:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(shard.name)
        make(folder, recordings, shard, given)

    make = preparing.make_shard
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "make_shard", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(manifest, tmp_path / "out", settings)
    times = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in made}
    assert len(times) == 2
    assert prepare(manifest, tmp_path / "out", settings) == whole
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert times == {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in made}


@pytest.mark.slow
def test_a_kill_leaves_only_whole_shards(tmp_path: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for seed in range(40):
        write_audio(folder / f"{seed}.wav", sound(seed, 4.0), RATE)
    command = [sys.executable, "-m", "woosh", "data", "prepare", folder, output]
    command += ["--files-per-shard", "2", "--workers", "2"]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    while not list(output.glob("*.tar")):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for shard in shard_urls(str(output)):
        assert len(list(read_shards([shard], RATE))) == 2
    report = prepare(folder, output, Settings(files_per_shard=2))
    assert report.samples == 40
    prepare(folder, tmp_path / "whole", Settings(files_per_shard=2))
    left = {name: data for name, data in contents(output).items() if not name.endswith(".part")}
    assert left == contents(tmp_path / "whole")


def test_two_preparations_in_one_folder_are_refused(tmp_path: Path) -> None:
    """Each would take what the other one writes for what a killed one left, and remove it."""
    folder, output = write_sounds(tmp_path / "sounds", range(2)), tmp_path / "out"
    output.mkdir()
    half_written = output / "shard-000000.tar.part"
    half_written.write_bytes(b"half")
    with alone_in(output), pytest.raises(OSError, match="another process works in .*out"):
        prepare(folder, output, Settings())
    assert half_written.is_file()
    assert prepare(folder, output, Settings()).samples == 2


def test_other_inputs_or_settings_are_refused(manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    prepare(manifest, output, Settings())
    before = contents(output)
    with pytest.raises(ValueError, match="made with gap_seconds 2.0, not 1.0"):
        prepare(manifest, output, Settings(gap_seconds=1.0))
    write_audio(manifest.parent / "dog.wav", sound(77), RATE)
    with pytest.raises(ValueError, match="made of other recordings"):
        prepare(manifest, output, Settings())
    assert contents(output) == before


@pytest.mark.parametrize(
    "segments",
    [
        "x",
        [1],
        [{"start": 1, "stop": 1, "captions": ["a"]}],
        [{"start": 0, "captions": ["a"]}],
        [{"start": 0, "stop": 1, "captions": []}],
        [{"start": float("nan"), "stop": 1, "captions": ["a"]}],
    ],
)
def test_faulty_segments_are_named_by_their_line(segments: object, tmp_path: Path) -> None:
    row = {"file": "a.wav", "captions": ["a"], "seconds": 1, "segments": segments}
    (tmp_path / "m.jsonl").write_text(json.dumps(row))
    with pytest.raises(ValueError, match=r"m.jsonl, line 1: .*(segment|captions|finite)"):
        prepare(tmp_path / "m.jsonl", tmp_path / "out", Settings())


def test_the_command(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["data", "prepare", str(manifest), str(tmp_path / "out")]
    assert cli.main([*arguments, "--files-per-shard", "2"]) == 0
    out, err = capsys.readouterr()
    assert "  4 samples, 0.00 h, of 7 files, 0.00 h; 4 left out" in out
    assert "CC-BY-4.0" in out and "left out: again.wav: the same as dog.wav" in err
    for wrong, message in (
        (["data", "prepare", "missing", str(tmp_path / "o")], "neither a manifest nor a folder"),
        ([*arguments[:3], str(manifest)], "is not a folder"),
        ([*arguments[:3], str(tmp_path / "a" / "b")], "no such folder"),
        ([*arguments, "--gap", "0"], "above 0"),
        ([*arguments, "--rate", "44100"], "made with"),
        (["data", "prepare", str(tmp_path / "out"), str(tmp_path / "o")], "holds no audio file"),
    ):
        assert cli.main(wrong) == 2
        assert message in capsys.readouterr().err


def test_a_source_is_read_from_manifest_shards_and_hub_format_alike(
    manifest: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in manifest.read_text().splitlines()][1:2]
    alone = manifest.parent / "alone.jsonl"
    alone.write_text(json.dumps(rows[0]))
    prepare(alone, tmp_path / "shards", Settings())
    from datasets import Audio, Dataset

    values = {"audio": [str(manifest.parent / "dog.wav")], "captions": [["a dog", "a bark"]]}
    data = Dataset.from_dict(values).cast_column("audio", Audio(decode=False))
    data.save_to_disk(str(tmp_path / "hub"))
    (first,) = load_source(str(alone), "train")
    (second,) = load_source(str(tmp_path / "shards"), "train")
    (third,) = load_source(f"hf:{tmp_path / 'hub'}", "train")
    assert first.captions == second.captions == third.captions == ("a dog", "a bark")
    assert np.array_equal(first.audio, third.audio)
    assert np.abs(first.audio[: len(second.audio)] - second.audio).max() < 2e-6
    assert second.label == "dog"
    pattern = f"{tmp_path}/shards/shard-{{000000..000000}}.tar"
    assert np.array_equal(load_source(pattern, "train")[0].audio, second.audio)


def test_sources_that_cannot_be_read(tmp_path: Path, manifest: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no audio file"):
        load_source(str(tmp_path / "empty"), "train")
    named = {clip.name: clip.captions for clip in load_source(str(manifest.parent), "train")}
    assert named["dog.wav"] == ("dog",) and "broken.wav" not in named
    with pytest.raises(FileNotFoundError, match="no shard"):
        load_source(str(tmp_path / "missing.tar"), "train")
    with pytest.raises(ValueError, match="would run a command"):
        load_source("pipe:touch pwned", "train")
    prepare(manifest, tmp_path / "out", Settings())
    with pytest.raises(ValueError, match="no usable clip in its split 'test'"):
        load_source(str(tmp_path / "out"), "test")
    shard = tmp_path / "out" / "shard-000000.tar"
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(ValueError, match="shard-000000.tar"):
        load_source(str(tmp_path / "out"), "train")
    write_shard(tmp_path / "bad.tar", [Sample("a", sound(1), RATE, {"captions": []})])
    with pytest.raises(ValueError, match="captions of 'a'"):
        load_source(str(tmp_path / "bad.tar"), "train")
    with pytest.raises(ValueError, match="no split"):
        load_source(f"hf:{tmp_path}/missing", "train")


def test_captions_of_other_encodings_are_named_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One Latin-1 file stopped everything, a byte-order mark and U+2028 became captions."""
    folder = write_sounds(tmp_path / "sounds", range(3))
    (folder / "clip-0.txt").write_bytes("Tür\n".encode("latin-1"))
    (folder / "clip-1.txt").write_text(
        "\ufeffa dog\u2028barking\r\n\r\nrain\x85", "utf-8", newline=""
    )
    assert cli.main(["data", "prepare", str(folder), str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert "2 samples, 0.00 h, of 3 files" in out and "1 left out" in out
    assert (
        err.startswith("woosh: warning: left out: clip-0.wav: ") and "clip-0.txt is not text" in err
    )
    samples = read_shards(shard_urls(str(tmp_path / "out")), RATE)
    captions = {sample.facts["file"]: sample.facts["captions"] for sample in samples}
    assert captions == {"clip-1.wav": ["a dog\u2028barking", "rain"], "clip-2.wav": ["clip 2"]}
    assert len(load_source(str(folder), "train")) == 2
    for name in ("clip-1.txt", "clip-2.txt"):
        (folder / name).write_bytes(b"\xff")
    with pytest.raises(
        ValueError, match=r"no file of .*sounds can be used: clip-0.wav: .*not text"
    ):
        load_source(str(folder), "train")


def test_a_row_without_a_split_is_trained_on(tmp_path: Path) -> None:
    """An empty or missing `split` names none, in a manifest as in a shard."""
    folder = write_sounds(tmp_path / "sounds", range(4))
    splits = ({}, {"split": None}, {"split": ""}, {"split": "validation"})
    rows = [
        {"file": f"clip-{number}.wav", "captions": ["a"], "seconds": 1} | split
        for number, split in enumerate(splits)
    ]
    path = folder / "m.jsonl"
    path.write_text("\ufeff" + "\r\n".join(map(json.dumps, rows)), encoding="utf-8")
    prepare(path, tmp_path / "shards", Settings())
    for source in (path, tmp_path / "shards"):
        counts = [len(load_source(str(source), split)) for split in ("train", "validation")]
        assert counts == [3, 1]


def test_what_a_killed_preparation_left_is_removed(tmp_path: Path) -> None:
    """Half-written shards stayed for ever, and a half-written plan blocked the folder with "Expecting value"."""
    folder = write_sounds(tmp_path / "sounds", range(2))
    output = tmp_path / "out"
    prepare(folder, output, Settings())
    before = contents(output)
    for name in ("shard-000001.tar.0123456789ab.part", "plan.json.0123456789ab.part"):
        (output / name).write_bytes(b"half")
    prepare(folder, output, Settings())
    assert contents(output) == before
    (output / "plan.json").write_text("")
    with pytest.raises(
        ValueError, match=r"out/plan.json: not JSON .*out does not know .* so delete it"
    ):
        prepare(folder, output, Settings())
    (output / "plan.json").write_bytes(before["plan.json"])
    (output / "shard-000000.json").write_text("{")
    with pytest.raises(
        ValueError, match=r"shard-000000.json: not JSON .*: delete .*shard-000000.tar"
    ):
        prepare(folder, output, Settings())
    (output / "shard-000000.tar").unlink()
    prepare(folder, output, Settings())
    assert contents(output) == before


def test_a_long_recording_is_taken_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour and a half of FLAC needs no more memory than ten minutes, and no sample is lost or moved."""
    monkeypatch.setattr(preparing, "BLOCK_SECONDS", 1.0)
    folder = tmp_path / "sounds"
    folder.mkdir()
    loud = np.concatenate([sound(seed)[:, : RATE // 2] for seed in range(5)], axis=1)  # 2.5 s
    write_audio(folder / "long.flac", loud, RATE)
    report = prepare(folder, tmp_path / "out", Settings(longest_seconds=0.6))
    samples = list(read_shards(shard_urls(str(tmp_path / "out")), RATE))
    assert report.samples == len(samples) == 5 and report.hours_found == pytest.approx(2.5 / 3600)
    assert [sample.facts["start"] for sample in samples] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert len({sample.key for sample in samples}) == 5
    joined = np.concatenate([sample.audio for sample in samples], axis=1)
    assert np.abs(joined - loud).max() < 2**-22
    whole = (folder / "long.flac").read_bytes()
    (folder / "long.flac").write_bytes(whole[: len(whole) * 9 // 10])
    report = prepare(folder, tmp_path / "cut", Settings(longest_seconds=0.6))
    assert report.samples == 0 and "long.flac" in report.rejected
