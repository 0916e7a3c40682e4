"""`woosh evaluate synchrony` on videos whose sound is known, from its arguments to the screen and refusals."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.toys import randomise
from tests.videos import write_video
from woosh import cli
from woosh.evaluation.desync import Comparison, DeSync
from woosh.evaluation.synchrony import evaluate_synchrony
from woosh.video.synchformer import Synchformer

TIMES = ([0.5, 1.3, 2.6], [0.9, 1.9, 2.4], [0.35, 1.6, 3.1])


def clicks(times: list[float], late: float = 0.0, seconds: float = 5.0) -> np.ndarray:
    """Short bursts of noise at these times (1, S)."""
    rng = np.random.default_rng(0)
    sound = np.zeros((1, round(48_000 * seconds)), dtype=np.float32)
    for time in times:
        start = round((time + late) * 48_000)
        sound[0, start : start + 2_400] = rng.normal(0, 0.2, 2_400) * np.linspace(1, 0, 2_400)
    return sound


def write_videos(folder: Path, late: float = 0.0, suffix: str = ".mp4") -> Path:
    folder.mkdir()
    pictures = [Fraction(k, 25) for k in range(125)]
    for number, times in enumerate(TIMES):
        write_video(folder / f"{number}{suffix}", pictures, sound=clicks(times, late))
    return folder


def woosh(*arguments: object) -> int:
    return cli.main(["evaluate", "synchrony", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videos(tmp_path_factory.mktemp("videos") / "reference", suffix=".mkv")


def test_a_late_sound_is_found_late(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generated = write_videos(tmp_path / "generated", late=0.07)
    options = ("--generated", generated, "--reference", reference, "--json", tmp_path / "r.json")
    assert woosh(*options) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["3", "videos", "20", "ms", "50", "ms", "100", "ms"]
    assert lines[0].split() == ["f1", "0", "0", "1"]
    rows = json.loads((tmp_path / "r.json").read_text())["metrics"]["onsets"]
    assert rows[2]["offset_seconds"] == pytest.approx(0.07, abs=0.01)
    assert rows[2]["f1_by_chance"] < 0.5 and rows[0]["offset_seconds"] is None


def test_the_true_sound_has_no_fault_and_silent_files_are_left_out(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generated = write_videos(tmp_path / "generated")
    write_video(generated / "0.mp4", [Fraction(k, 25) for k in range(50)])  # without sound
    assert woosh("--generated", generated, "--reference", reference) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split() == ["f1", "1", "1", "1"] and out.startswith("2 videos")
    assert "0.mp4 has no sound" in err


def test_desync_and_cosine(reference: Path, tmp_path: Path) -> None:
    visual = randomise(Synchformer(width=24, depth=1, heads=2, image_size=32), 1)
    desync = DeSync(visual, randomise(Comparison(24, 1, 2, 1, 2), 2)).eval()
    result = evaluate_synchrony(reference, desync=desync)
    found = [clip["desync_seconds"] for clip in result["clips"]]
    assert result["metrics"]["desync_seconds"] == pytest.approx(np.mean(found))
    assert result["metrics"]["onsets"] is None and len(found) == 3

    names = ("0.mkv", "1.mkv", "2.mkv")
    np.savez(tmp_path / "sounds.npz", **{name: np.array([1.0, 0.0]) for name in names})
    np.savez(tmp_path / "videos.npz", **{name: np.array([0.6, 0.8]) for name in names})
    options = ("--sound-embeddings", tmp_path / "sounds.npz", "--json", tmp_path / "r.json")
    videos = ("--video-embeddings", tmp_path / "videos.npz")
    assert woosh("--generated", reference, *options, *videos) == 0
    metrics = json.loads((tmp_path / "r.json").read_text())["metrics"]
    assert metrics["embedding_cosine"] == pytest.approx(0.6)


def test_refusals(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    visual = tmp_path / "visual.pth"
    visual.write_bytes(b"nothing")
    cases: list[tuple[tuple[object, ...], str]] = [
        (("--generated", reference), "nothing to measure"),
        (("--generated", empty, "--reference", reference), "holds no video"),
        (("--generated", reference, "--reference", empty), "holds no video"),
        (("--generated", tmp_path / "no", "--reference", reference), "no folder"),
        (("--generated", reference, "--sound-embeddings", "a.npz"), "belong together"),
        (("--generated", reference, "--synchformer", visual), "is damaged or holds more"),
    ]
    for options, message in cases:
        assert woosh(*options) == 2
        assert message in capsys.readouterr().err
    one = tmp_path / "one"
    one.mkdir()
    (one / "0.mkv").write_bytes((reference / "0.mkv").read_bytes())
    assert woosh("--generated", reference, "--reference", one) == 2
    assert "has no video '1'" in capsys.readouterr().err
