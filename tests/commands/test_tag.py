"""`woosh tag`: JSON for machines, a row for every second, categories of UCS."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.sounds import RATE, sound, write_sounds
from tests.toys import make_clap, randomise
from woosh import cli
from woosh.audio import audio_seconds, read_audio, write_audio
from woosh.embeddings.clap import save_clap
from woosh.embeddings.tagging import load_tagger
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.ucs import propose, read_mapping


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A toy tagger of AudioSet's labels."""
    folder = tmp_path_factory.mktemp("ear")
    save_file(
        randomise(MobileNet(0.1, classes=527), 3, gain=2.5).state_dict(), folder / "ear.safetensors"
    )
    (folder / "labels.txt").write_text("\n".join(read_mapping()), encoding="utf-8")
    return f"tagger:{folder / 'ear.safetensors'}"


def tag(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What the command writes to stdout."""
    assert cli.main(["tag", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_a_line_of_json_for_each_file_whatever_its_name(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ['Tür "zu"\n.wav', "\U0001f415, \u2028.wav"]
    for seed, name in enumerate(names):
        write_sounds(tmp_path, range(seed, seed + 1)).joinpath(f"clip-{seed}.wav").rename(
            tmp_path / name
        )
    out = tag(capsys, *(tmp_path / name for name in names), "--json", "--model", model, "-k", "3")
    assert out.isascii()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["file"] for row in rows] == [str(tmp_path / name) for name in names]
    tagger = load_tagger(model, None)
    for row, name in zip(rows, names, strict=True):
        assert row["seconds"] == 0.5 and "timeline" not in row
        tags = tagger.tag(tmp_path / name, 3)
        assert row["labels"] == [one._asdict() for one in tags]
        scores = tagger.hear(tmp_path / name).tolist()
        proposal = propose(dict(zip(tagger.labels, scores, strict=True)))
        assert proposal is not None
        assert row["ucs"] == {
            "catid": proposal.category.catid,
            "category": proposal.category.category,
            "subcategory": proposal.category.subcategory,
            "label": proposal.label,
            "score": proposal.probability,
        }


def test_a_row_for_every_second_of_the_whole_file(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.wav"
    write_audio(path, sound(4, 62.3), RATE)
    options = (path, "--timeline", "--model", model, "-k", "2")
    (row,) = map(json.loads, tag(capsys, *options, "--json").splitlines())
    assert [moment["second"] for moment in row["timeline"]] == list(range(63))
    tagger = load_tagger(model, None)
    rate = tagger.embedder.sample_rate
    with torch.inference_mode():
        for second, low, high in ((0, 0, 2), (61, 60, 62.3), (62, 61, 62.3)):
            window = read_audio(path)[0, round(low * RATE) : round(high * RATE)]
            write_audio(tmp_path / "part.wav", window[None], RATE)
            heard = torch.from_numpy(read_audio(tmp_path / "part.wav", rate)[0])
            expected = tagger.best(tagger.scores(heard), 2)
            assert row["timeline"][second]["labels"] == [one._asdict() for one in expected]
    lines = tag(capsys, *options).splitlines()
    assert len(lines) == 1 + 2 + 1 + 63
    assert lines[3].startswith(f"  UCS {row['ucs']['catid']}  {row['ucs']['category']}, ")
    assert (
        lines[-1].startswith("  1:02  ") and row["timeline"][62]["labels"][1]["label"] in lines[-1]
    )


def test_an_aligner_has_a_timeline_but_proposes_no_category(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_clap(make_clap(), tmp_path / "aligner")
    (tmp_path / "aligner" / "labels.txt").write_text("a dog\nrain")
    path = write_sounds(tmp_path, range(1), seconds=1.5) / "clip-0.wav"
    out = tag(capsys, path, "--json", "--timeline", "--model", tmp_path / "aligner")
    row = json.loads(out)
    assert row["ucs"] is None and row["seconds"] == audio_seconds(path) == 1.5
    assert len(row["timeline"]) == 2
    assert {one["label"] for one in row["timeline"][0]["labels"]} == {"a dog", "rain"}


def test_what_cannot_be_heard_is_told_at_the_end(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sounds(tmp_path, range(2))
    (tmp_path / "noise.wav").write_text("no sound")
    files = [str(tmp_path / name) for name in ("clip-0.wav", "noise.wav", "clip-1.wav")]
    assert cli.main(["tag", *files, "--json", "--timeline", "--model", model]) == 2
    out, err = capsys.readouterr()
    assert [json.loads(line)["file"] for line in out.splitlines()] == [files[0], files[2]]
    assert "cannot read" in err and files[1] in err


def test_breaks_of_a_joined_recording_are_told_in_both_forms(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A low hum that becomes a hiss breaks there by the built-in network; a steady hiss does not."""
    generator = np.random.default_rng(0)
    hiss = 0.1 * generator.standard_normal(6 * RATE)
    hum = 0.2 * np.sin(2 * np.pi * 150 * np.arange(round(2.6 * RATE)) / RATE)
    joined = np.concatenate([hum, hiss[: 3 * RATE]])
    for name, sound_ in (("joined.wav", joined), ("steady.wav", hiss)):
        write_audio(tmp_path / name, sound_[None].astype(np.float32), RATE)
    files = [tmp_path / "joined.wav", tmp_path / "steady.wav"]
    out = tag(capsys, *files, "--breaks", "--json", "--model", model)
    first, second = (json.loads(line)["breaks"] for line in out.splitlines())
    assert [row["second"] for row in first] == pytest.approx([2.6], abs=0.1)
    assert 0.5 <= first[0]["probability"] <= 1 and second == []
    text = tag(capsys, *files, "--breaks", "-k", "1", "--model", model)
    assert f"  0:{first[0]['second']:05.2f}  {first[0]['probability']:.3f} break\n" in text
    assert text.endswith("  no break\n")
