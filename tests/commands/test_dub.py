"""`woosh dub`: what it writes, what it refuses, and that a refusal leaves nothing behind."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.toys import (
    make_pipeline,
    make_synchformer,
    quieten,
    save_pipeline,
    save_seeing_pipeline,
)
from tests.videos import steady_times, write_video
from woosh import __version__, audio, catalogue, cli
from woosh.video import open_video


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy that sees, up to 1.99 s in one piece, three steps."""
    return save_seeing_pipeline(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="session")
def few_step_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_seeing_pipeline(tmp_path_factory.mktemp("models") / "fast", flow_map=True)


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of pictures: silent, with a tone, and of a codec that only Matroska takes."""
    folder = tmp_path_factory.mktemp("videos")
    times = steady_times(Fraction(25), 2.0)
    tone = np.sin(np.arange(96_000) / 48_000 * 2 * np.pi * 440)[None].astype(np.float32) / 4
    write_video(folder / "silent.mp4", times)
    write_video(folder / "tone.mkv", times, sound=tone)
    write_video(folder / "old.avi", times, codec="ffv1")
    write_video(folder / "web.webm", times, codec="libvpx")
    return folder


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def dub(model: Path, *arguments: object) -> int:
    words = ("dub", *arguments, "--model", model, "--device", "cpu")
    return cli.main([str(word) for word in words])


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def sound_of(path: str | Path) -> np.ndarray:
    """Samples (C, S) of a video's sound."""
    import av

    planar = av.AudioResampler(format="fltp")
    with av.open(str(path)) as container:
        frames = [part for frame in container.decode(audio=0) for part in planar.resample(frame)]
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)


def comment_of(path: str | Path) -> str:
    import av

    with av.open(str(path)) as container:
        tags = {name.lower(): value for name, value in container.metadata.items()}
        return tags["comment"]


def picture_bytes(path: Path) -> list[bytes]:
    import av

    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_a_silent_clip_gets_a_sound(
    model: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dub(model, videos / "silent.mp4", "--prompt", "a  dog", "--seed", 7) == 0
    assert files(tmp_path) == ["silent-dubbed.mp4"]
    assert capsys.readouterr() == ("silent-dubbed.mp4  2.00 s  -23.0 LUFS  seed 7\n", "")
    made, source = open_video(tmp_path / "silent-dubbed.mp4"), open_video(videos / "silent.mp4")
    assert made.seconds == pytest.approx(source.seconds, abs=0.04)
    assert picture_bytes(made.path) == picture_bytes(source.path)
    assert np.abs(sound_of(made.path)).max() > 1e-3
    assert f'"seed": 7, "model": "toy", "version": "{__version__}"' in comment_of(made.path)
    assert '"video": "silent.mp4"' in comment_of(made.path)


def test_the_same_seed_makes_the_same_sound_and_the_picture_matters(
    model: Path, videos: Path, tmp_path: Path
) -> None:
    silent = videos / "silent.mp4"
    for name, start in (("a", 0), ("b", 0), ("c", 1)):
        part = ("--start", start, "--seconds", 1, "--seed", 3)
        assert dub(model, silent, "-o", f"{name}.wav", *part) == 0
    a, b, c = (audio.read_audio(tmp_path / f"{name}.wav") for name in "abc")
    assert a.shape == (1, 48_000)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)  # same noise, other pictures
    assert audio.read_metadata(tmp_path / "a.wav")["seed"] == 3


def test_several_takes_are_numbered_and_overwrite_nothing(
    model: Path, videos: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        assert dub(model, videos / "web.webm", "-n", 2, "-o", "takes/", "--seed", 1) == 0
    assert files(tmp_path / "takes") == [
        "web-dubbed-1-2.webm",
        "web-dubbed-1.webm",
        "web-dubbed-2-2.webm",
        "web-dubbed-2.webm",
    ]
    one, two = (sound_of(tmp_path / "takes" / f"web-dubbed-{take}.webm") for take in (1, 2))
    assert not np.array_equal(one, two)


def test_the_seed_of_the_best_take_makes_it_again(model: Path, videos: Path) -> None:
    """The takes are judged by what begins in the picture; the one that is kept is that of its seed."""
    part = ("--seconds", 1, "-o")
    assert dub(model, videos / "silent.mp4", *part, "a.wav", "--best-of", 3, "--seed", 5) == 0
    seed = audio.read_metadata("a.wav")["seed"]
    assert seed in (5, 6, 7)
    assert dub(model, videos / "silent.mp4", *part, "b.wav", "--seed", seed) == 0
    assert np.array_equal(audio.read_audio("a.wav"), audio.read_audio("b.wav"))


def test_a_part_of_the_video_gets_a_sound(model: Path, videos: Path) -> None:
    arguments = ("--start", 0.5, "--seconds", 1, "--codec", "flac", "--seed", 0)
    assert dub(model, videos / "silent.mp4", "-o", "part.mkv", *arguments) == 0
    sound = sound_of("part.mkv")
    assert np.abs(sound[:, :23_900]).max() == 0
    assert np.abs(sound[:, 24_100:71_000]).max() > 1e-3
    assert np.abs(sound[:, 72_100:]).max() == 0


def test_the_sound_of_a_part_is_that_long(model: Path, videos: Path) -> None:
    arguments = ("--start", 0.5, "--seconds", 1, "--seed", 0)
    assert dub(model, videos / "silent.mp4", "-o", "part.flac", *arguments) == 0
    assert audio.read_audio("part.flac").shape == (1, 48_000)


def test_the_videos_own_sound_stays_under_it(model: Path, videos: Path) -> None:
    arguments = ("--mix", -60, "--codec", "flac", "--seed", 0)
    assert dub(model, videos / "tone.mkv", "-o", "mixed.mkv", *arguments) == 0
    sound = sound_of("mixed.mkv").astype(np.float64)
    spectrum = np.abs(np.fft.rfft(sound[0] / np.abs(sound).max()))
    assert np.argmax(spectrum) == pytest.approx(440 * len(sound[0]) / 48_000, abs=2)


def test_loudness_solver_and_guidance_options(
    model: Path, videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--steps", 2, "--guidance", 3, "--video-guidance", 2, "--negative", "music")
    loud = ("--loudness", -30, "--seed", 0)
    assert dub(model, videos / "silent.mp4", "-o", "a.wav", *options, *loud) == 0
    assert audio.loudness(audio.read_audio("a.wav", mono=False)) == pytest.approx(-30, abs=0.2)
    assert capsys.readouterr().err == ""


def test_the_sound_is_finished_on_the_films_time_axis(model: Path, videos: Path) -> None:
    """Nothing is trimmed, whatever is silent: the picture says when. Two channels go into the film as two."""
    silent = videos / "silent.mp4"
    assert dub(model, silent, "-o", "raw.wav", "--raw", "--seed", 0) == 0
    assert dub(model, silent, "-o", "a.wav", "--seed", 0) == 0
    assert dub(model, silent, "-o", "b.mkv", "--seed", 0, "--codec", "flac", "--stereo") == 0
    raw, made = (audio.read_audio(name, mono=False) for name in ("raw.wav", "a.wav"))
    assert made.shape == raw.shape == (1, 96_000)
    expected = audio.finish(raw, settings=audio.FinishSettings(trim=None)).audio
    assert made == pytest.approx(expected, abs=1e-5)
    assert audio.true_peak(made) <= 10 ** (-1 / 20)
    left, right = sound_of("b.mkv")[:, :96_000]
    assert np.corrcoef(left, right)[0, 1] == pytest.approx(0.5, abs=0.02)
    assert np.corrcoef(left + right, made[0])[0, 1] > 0.999


def test_the_sound_alone_is_stored_as_asked(model: Path, videos: Path) -> None:
    options = ("--depth", 16, "--rate", 44_100, "--seed", 3, "-o", "a.wav")
    assert dub(model, videos / "silent.mp4", *options) == 0
    info = soundfile.info("a.wav")
    assert (info.subtype, info.samplerate, info.frames) == ("PCM_16", 44_100, 88_200)


def test_a_silent_soundtrack_is_an_error(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = quieten(make_pipeline(max_frames=100, video_channels=8), 80)
    pipeline.save_pretrained(tmp_path / "faint")
    watcher = save_seeing_pipeline(tmp_path / "toy") / "visual"
    arguments = ("--watcher", watcher, "--seed", 5, "-o", "a.mp4")
    assert dub(tmp_path / "faint", videos / "silent.mp4", *arguments) == 1
    error = capsys.readouterr().err
    assert "woosh: error: the video gave silence with the seeds 5, 10005, 20005, 30005" in error
    assert not (tmp_path / "a.mp4").exists()


def test_few_step_models(few_step_model: Path, videos: Path) -> None:
    assert dub(few_step_model, videos / "silent.mp4", "-o", "fast.mov") == 0
    assert np.abs(sound_of("fast.mov")).max() > 1e-3


def test_a_codec_that_the_container_cannot_hold_goes_into_matroska(
    model: Path, videos: Path, tmp_path: Path
) -> None:
    assert dub(model, videos / "old.avi") == 0
    assert files(tmp_path) == ["old-dubbed.mkv"]


def test_synchformer_watches_for_a_model_of_its_width(
    model: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for width, code in ((8, 0), (16, 2)):
        watcher = tmp_path / f"synchformer-{width}"
        make_synchformer(width).save_pretrained(watcher)
        answer = dub(model, videos / "silent.mp4", "-o", "a.wav", "--watcher", watcher)
        assert answer == code
    assert "makes 16 features of a frame, the model takes 8" in capsys.readouterr().err


REFUSALS = {
    "missing": (("nothing.mp4",), "no file 'nothing.mp4'"),
    "no video": (("words.mp4",), "no video that can be read"),
    "sound alone": (("sound.mp4",), "no video stream"),
    "empty": (("empty.mp4",), "no video that can be read"),
    "extension": (("silent.mp4", "-o", "out.txt"), "its extension must be one of .mp4"),
    "picture codec": (("web.webm", "-o", "out.mov"), "cannot hold the picture's vp8"),
    "depth of a film": (("silent.mp4", "--depth", 16), "--depth is of sound files, and .mp4"),
    "rate of a film": (("silent.mp4", "--rate", 44100), "--rate is of sound files, and .mp4"),
    "signed film": (("silent.mp4", "--sign"), "--sign is of sound files, and .mp4 is a video"),
    "depth of ogg": (("silent.mp4", "-o", "a.ogg", "--depth", 16), "depth"),
    "sound codec": (("silent.mp4", "--codec", "opus"), ".mp4 holds aac or flac, not opus"),
    "nothing to mix": (("silent.mp4", "--mix", "0"), "no sound to mix with"),
    "mix in a sound": (("silent.mp4", "-o", "a.wav", "--mix", "0"), "leave out --mix"),
    "start": (("silent.mp4", "--start", "2"), "lasts 2.00 s"),
    "seconds": (("silent.mp4", "--seconds", "3"), "there are no 3 s"),
    "no length": (("silent.mp4", "--seconds", "0"), "must be a number above 0"),
    "prompt": (("silent.mp4", "--prompt", " "), "the prompt is empty"),
    "folder": (("silent.mp4", "-o", "none/out.mp4"), "there is no such folder"),
    "itself": (("silent.mp4", "-o", "silent.mp4"), "is the video itself"),
    "count": (("silent.mp4", "-n", "0"), "whole number from 1"),
    "watcher": (("silent.mp4", "--watcher", "none"), "no network that watches in 'none'"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_input_is_refused_in_one_line(
    case: str, model: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in videos.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "words.mp4").write_text("no video at all")
    (tmp_path / "empty.mp4").write_bytes(b"")
    audio.write_audio(tmp_path / "sound.ogg", np.zeros((1, 4800), dtype=np.float32), 48_000, {})
    (tmp_path / "sound.ogg").rename(tmp_path / "sound.mp4")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    words, message = REFUSALS[case]
    assert dub(model, *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("woosh: error: ") and err.count("\n") == 1 and message in err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_video_that_breaks_off_leaves_no_file(model: Path, videos: Path, tmp_path: Path) -> None:
    whole = (videos / "tone.mkv").read_bytes()
    (tmp_path / "torn.mkv").write_bytes(whole[: len(whole) // 2])
    code = dub(model, "torn.mkv", "-o", "out.mkv")
    assert code in (0, 2)
    assert files(tmp_path) == (["out.mkv", "torn.mkv"] if code == 0 else ["torn.mkv"])


def test_models_that_hear_words_alone_are_refused(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blind = save_pipeline(tmp_path / "blind")
    assert dub(blind, videos / "silent.mp4") == 2
    assert "makes sound from words alone: take --model" in capsys.readouterr().err


def test_a_seeing_model_without_a_watcher_names_the_remedy(
    model: Path,
    few_step_model: Path,
    videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lone = tmp_path / "lone"
    for path in (
        path for path in model.rglob("*") if path.is_file() and "visual" not in path.parts
    ):
        place = lone / path.relative_to(model)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    assert dub(lone, videos / "silent.mp4") == 2
    assert "--watcher" in capsys.readouterr().err
    assert dub(lone, videos / "silent.mp4", "--watcher", model / "visual") == 0
    for option in (("--negative", "rain"), ("--video-guidance", 2)):
        assert dub(few_step_model, videos / "silent.mp4", *option) == 2
        assert "few-step model" in capsys.readouterr().err


def test_a_film_longer_than_one_call_names_the_options(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = [Fraction(second) for second in range(0, 700, 10)]
    write_video(tmp_path / "long.mkv", long, unit=Fraction(1, 1000))
    assert dub(model, "long.mkv") == 2
    assert "name a part with --start and --seconds" in capsys.readouterr().err
    assert dub(model, "long.mkv", "--start", 640, "--seconds", 1, "-o", "part.wav") == 0


def test_what_a_seeing_folder_says_of_itself(model: Path) -> None:
    info = catalogue.describe_model(model)
    assert info.video_channels == 8
    assert info.visual == model / "visual"
