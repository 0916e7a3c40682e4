"""`woosh evaluate` from its arguments to files, the screen and refusals."""

import json
from pathlib import Path

import pytest

from tests.embeddings.test_embedders import toy_passt
from tests.evaluation.test_generation import toy_autoencoder
from tests.sounds import write_sounds
from tests.toys import randomise
from woosh import cli


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    generated = write_sounds(tmp_path / "generated", range(12))
    reference = write_sounds(tmp_path / "reference", range(6, 18))
    return ["--generated", str(generated), "--reference", str(reference)]


def woosh(*arguments: object) -> int:
    return cli.main(["evaluate", *(str(argument) for argument in arguments)])


def test_generation_prints_a_table_and_writes_the_whole_result(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    randomise(toy_passt(), 1).save_pretrained(tmp_path / "toy")
    options = ("--embedding", "log-mel", "--embedding", "passt:toy", "--device", "cpu")
    assert woosh("generation", *folders, *options, "--json", "r.json", "--crop", 0.4) == 0
    out, err = capsys.readouterr()
    head, *lines = out.splitlines()
    assert head.split() == ["12", "generated,", "12", "reference", "clips", "log-mel", "passt-toy"]
    names = [line.split("  ")[0] for line in lines]
    for name in ("frechet distance", "kernel distance", "coverage", "recall", "inception score"):
        assert name in names
    assert any(line.startswith("kl softmax generated reference ") for line in lines)
    assert "woosh: warning: log-mel: no_frechet_distance: 12 clips" in err
    result = json.loads((tmp_path / "r.json").read_text())
    assert [part["name"] for part in result["embeddings"]] == ["log-mel", "passt-toy"]
    assert result["audio"]["crop_seconds"] == 0.4
    kernel = result["embeddings"][0]["metrics"]["kernel_distance"]
    assert f"{kernel['value']:.4g} +- {kernel['standard_error']:.4g}" in out
    assert len(list((tmp_path / "cache" / "woosh").rglob("*.safetensors"))) == 36


def test_two_runs_write_the_same_file(folders: list[str], tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        assert woosh("generation", *folders, "--embedding", "log-mel", "--json", name) == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (
        woosh("generation", *folders, "--embedding", "log-mel", "--json", "c.json", "--seed", 1)
        == 0
    )
    assert (tmp_path / "c.json").read_bytes() != (tmp_path / "a.json").read_bytes()


def test_the_cache_stands_where_the_user_says(folders: list[str], tmp_path: Path) -> None:
    assert woosh("generation", *folders, "--embedding", "log-mel", "--cache", "here") == 0
    assert len(list((tmp_path / "here").rglob("*.safetensors"))) == 18
    assert not (tmp_path / "cache").exists()


def test_autoencoder_prints_a_table_and_writes_the_whole_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_autoencoder(tmp_path / "model")
    write_sounds(tmp_path / "audio", range(3))
    options = ("--model", "model", "--audio", "audio", "--device", "cpu", "--workers", 1)
    assert woosh("autoencoder", *options, "--json", "r.json", "--crop", 0.3) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["mean", "median", "clips"]
    result = json.loads((tmp_path / "r.json").read_text())
    mean = result["metrics"]["mel_distance"]["mean"]
    assert lines[1].startswith("mel distance decades ")
    assert lines[1].split()[3::2] == [f"{mean:.4g}", "3"]
    assert len(result["clips"]) == 3


def test_a_plot_on_request(folders: list[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert woosh("generation", *folders, "--embedding", "log-mel", "--plot", "p.png") == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--generated", "none"), "no folder none"),
        (("--captions", "none.jsonl"), "no captions at none.jsonl"),
        (("--embedding", "unknown"), "unknown"),
        (("--embedding", "none.npz"), "no embeddings at none.npz"),
        (("--crop", "0"), "must be a number above 0"),
        (("--workers", "-1"), "must be a whole number from 0 to 256"),
        (("--json", "none/r.json"), "there is no such folder"),
        (("--json", "."), "is a folder"),
        (("--plot", "p.pdf"), "its extension must be .png"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    folders: list[str], arguments: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert woosh("generation", *folders, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("woosh: error: ")
    assert message in err
    assert err.count("\n") == 1


def test_folders_without_sounds_and_missing_words_are_refused(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert woosh("generation", *folders, "--generated", "empty", "--embedding", "log-mel") == 2
    assert "holds no audio file" in capsys.readouterr().err
    assert woosh("autoencoder", "--audio", "empty", "--model", "nothing") == 2
    assert "unknown model" in capsys.readouterr().err
    assert woosh("autoencoder", "--audio", "none") == 2
    assert "no folder none" in capsys.readouterr().err
    assert woosh() == 2
    assert "WHAT" in capsys.readouterr().err
