"""Audio files: what is written is read back; what is wrong is refused by name."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from woosh import audio
from woosh.audio import files, metadata, names

RATE = 48_000
FORMATS = ("wav", "flac", "ogg")


def tone(seconds: float = 0.5, amplitude: float = 0.5, channels: int = 1) -> np.ndarray:
    """A sine at 997 Hz, (C, S)."""
    moments = np.arange(round(seconds * RATE)) / RATE
    wave = amplitude * np.sin(2 * np.pi * 997 * moments)
    return np.tile(wave, (channels, 1)).astype(np.float32)


@pytest.mark.parametrize("extension", ["wav", "flac"])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_files_keep_the_samples(tmp_path: Path, extension: str, channels: int) -> None:
    path = tmp_path / f"tone.{extension}"
    audio.write_audio(path, tone(channels=channels), RATE)
    assert np.abs(audio.read_audio(path, RATE, mono=False) - tone(channels=channels)).max() < 2**-22


def test_vorbis_file_keeps_length_and_level_and_takes_long_sounds(tmp_path: Path) -> None:
    sound = tone(seconds=30)
    audio.write_audio(tmp_path / "tone.ogg", sound, RATE)
    read = audio.read_audio(tmp_path / "tone.ogg", RATE)
    assert read.shape == sound.shape
    assert np.sqrt(np.mean((read - sound) ** 2)) < 0.01


@pytest.mark.parametrize("extension", FORMATS)
def test_metadata_returns_from_every_format(tmp_path: Path, extension: str) -> None:
    metadata = {
        "prompt": 'un chien aboie, 犬が吠える 🐕 "quoted"\\',
        "seed": 2**63 - 1,
        "model": "woosh-tiny",
        "version": "0.1.0",
    }
    path = tmp_path / f"dog.{extension}"
    audio.write_audio(path, tone(), RATE, metadata)
    assert audio.read_metadata(path) == metadata
    with soundfile.SoundFile(path) as file:
        assert file.title == metadata["prompt"]
        assert file.software.startswith("woosh 0.1.0")


@pytest.mark.parametrize("extension", FORMATS)
def test_longest_metadata_returns_and_one_more_byte_is_refused(
    tmp_path: Path, extension: str
) -> None:
    path = tmp_path / f"long.{extension}"
    room = metadata.METADATA_BYTES - len(json.dumps({"prompt": ""}))
    audio.write_audio(path, tone(), RATE, {"prompt": "x" * room})
    assert audio.read_metadata(path) == {"prompt": "x" * room}
    path.unlink()
    with pytest.raises(ValueError, match="2001 bytes.*shorter prompt"):
        audio.write_audio(path, tone(), RATE, {"prompt": "x" * (room + 1)})
    assert list(tmp_path.iterdir()) == []


def test_metadata_of_other_files_is_refused(tmp_path: Path) -> None:
    for comment in ("", "by hand", "[1]"):
        with soundfile.SoundFile(tmp_path / "a.flac", "w", RATE, 1) as file:
            if comment:
                file.comment = comment
            file.write(tone()[0])
        with pytest.raises(ValueError, match="no metadata"):
            audio.read_metadata(tmp_path / "a.flac")
    with pytest.raises(FileNotFoundError, match="missing.wav"):
        audio.read_metadata(tmp_path / "missing.wav")


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (np.zeros((1, 0), np.float32), "not empty"),
        (np.zeros(100, np.float32), r"\(channels, samples\)"),
        (np.full((1, 100), np.nan, np.float32), "not finite"),
        (np.full((1, 100), 1.01, np.float32), "peaks at 1.010"),
    ],
)
def test_unwritable_audio_leaves_no_file(tmp_path: Path, sound: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        audio.write_audio(tmp_path / "bad.wav", sound, RATE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.mp3", "a", "a.wav.txt", ".wav"])
def test_unknown_extension_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"\.wav, \.flac, \.ogg"):
        audio.write_audio(tmp_path / name, tone(), RATE)


def test_failed_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "keep.wav"
    audio.write_audio(path, tone(), RATE)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not finite"):
        audio.write_audio(path, np.full((1, 9), np.inf, np.float32), RATE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_writing_into_a_missing_folder_or_over_a_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        audio.write_audio(tmp_path / "gone" / "a.wav", tone(), RATE)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(OSError, match="not a file"):
        audio.write_audio(tmp_path / "folder.wav", tone(), RATE)
    with pytest.raises(OSError, match="not a file"):
        Path(tmp_path / "null.wav").symlink_to(os.devnull)
        audio.write_audio(tmp_path / "null.wav", tone(), RATE)


def test_full_scale_is_not_clipped_or_wrapped(tmp_path: Path) -> None:
    sound = np.array([[1.0, -1.0, 0.0, 1.0]], np.float32)
    for extension in ("wav", "flac"):
        audio.write_audio(tmp_path / f"a.{extension}", sound, RATE)
        assert np.allclose(audio.read_audio(tmp_path / f"a.{extension}"), sound, atol=2**-22)


def test_reading_resamples_and_mixes_down(tmp_path: Path) -> None:
    moments = np.arange(44_100) / 44_100
    left = 0.8 * np.sin(2 * np.pi * 1000 * moments)
    soundfile.write(tmp_path / "a.wav", np.stack([left, 0 * left], axis=1), 44_100, "FLOAT")
    stereo = audio.read_audio(tmp_path / "a.wav", RATE, mono=False)
    mono = audio.read_audio(tmp_path / "a.wav", RATE)
    assert stereo.shape == (2, RATE)
    assert mono.shape == (1, RATE)
    assert mono.dtype == np.float32
    expected = 0.4 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    middle = slice(1000, -1000)
    assert np.abs(mono[0, middle] - expected[middle]).max() < 1e-4


def test_bad_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing.wav"):
        audio.read_audio(tmp_path / "missing.wav")
    with pytest.raises(FileNotFoundError, match="no audio file"):
        audio.read_audio(tmp_path)
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(ValueError, match="cannot read .*text.wav as audio"):
        audio.read_audio(tmp_path / "text.wav")
    (tmp_path / "zero.flac").write_bytes(b"")
    with pytest.raises(ValueError, match="cannot read .*zero.flac as audio"):
        audio.read_audio(tmp_path / "zero.flac")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    with pytest.raises(ValueError, match="no samples"):
        audio.read_audio(tmp_path / "empty.wav")
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), RATE, "FLOAT")
    with pytest.raises(ValueError, match="not finite"):
        audio.read_audio(tmp_path / "nan.wav")


def test_truncated_flac_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, RATE)
    soundfile.write(tmp_path / "whole.flac", noise, RATE)
    content = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "half.flac").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="half.flac"):
        audio.read_audio(tmp_path / "half.flac")


@pytest.mark.parametrize(
    ("rate", "margin"), [(RATE, 0.0), (RATE, 1.0), (11_025, 0.3), (8_000, 0.0)]
)
def test_windows_of_every_second_are_parts_of_the_file(
    tmp_path: Path, rate: int, margin: float
) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (2, round(3.4 * rate))).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", noise.T, rate, "FLOAT")
    windows = list(audio.read_seconds(tmp_path / "noise.wav", rate, margin))
    whole = audio.read_audio(tmp_path / "noise.wav", rate)[0]
    edges = [(round((n - margin) * rate), round((n + 1 + margin) * rate)) for n in range(4)]
    assert len(windows) == 4
    for window, (low, high) in zip(windows, edges, strict=True):
        assert np.array_equal(window, whole[max(0, low) : high])


def test_length_and_seconds_of_bad_files_are_refused_by_name(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", np.full(3 * RATE, 0.5), RATE, "FLOAT")
    assert audio.audio_seconds(tmp_path / "long.wav") == 3.0
    values = np.full(3 * RATE, 0.5)
    values[-1] = np.nan
    soundfile.write(tmp_path / "nan.wav", values, RATE, "FLOAT")
    seconds = audio.read_seconds(tmp_path / "nan.wav", 16_000, 0.0)
    assert [len(next(seconds)) for _ in range(2)] == [16_000, 16_000]
    with pytest.raises(ValueError, match="nan.wav holds values that are not finite"):
        next(seconds)
    with pytest.raises(FileNotFoundError, match="no audio file at .*missing.wav"):
        audio.audio_seconds(tmp_path / "missing.wav")
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(ValueError, match="cannot read .*text.wav as audio"):
        next(audio.read_seconds(tmp_path / "text.wav", RATE, 0.0))


@given(st.floats(0.01, 50), st.integers(0, 2**32 - 1))
def test_peak_guard_only_scales_down(amplitude: float, seed: int) -> None:
    sound = (amplitude * np.random.default_rng(seed).standard_normal((1, 64))).astype(np.float32)
    guarded = audio.peak_guard(sound)
    assert np.abs(guarded).max() <= 1
    if np.abs(sound).max() <= 1:
        assert guarded is sound
    else:
        assert np.abs(guarded).max() > 0.999
        assert np.allclose(guarded * np.abs(sound).max(), sound, rtol=1e-5)


def test_loudness_of_the_standards_reference_tone() -> None:
    # BS.1770: 0 dBFS at 997 Hz in one channel reads -3.01 LUFS.
    assert audio.loudness(tone(seconds=3, amplitude=1.0)) == pytest.approx(-3.01, abs=0.1)
    assert audio.loudness(np.zeros((1, RATE), np.float32)) == -math.inf


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.399, 0.4, 1.0])
def test_short_clips_have_the_loudness_of_long_ones(seconds: float) -> None:
    long = audio.loudness(tone(seconds=3))
    assert audio.loudness(tone(seconds=seconds)) == pytest.approx(long, abs=0.3)


@pytest.mark.parametrize("seconds", [0.05, 0.4, 2.0])
def test_normalised_loudness_is_reached(seconds: float) -> None:
    levelled = audio.normalise_loudness(tone(seconds=seconds, amplitude=0.01), -23)
    assert levelled.reached
    assert audio.loudness(levelled.audio) == pytest.approx(-23, abs=0.1)
    assert levelled.audio.dtype == np.float32


def test_loudness_gives_way_to_the_ceiling_and_says_so() -> None:
    click = np.zeros((1, RATE), np.float32)
    click[0, RATE // 2] = 0.5
    levelled = audio.normalise_loudness(click, -10)
    assert not levelled.reached
    assert levelled.loudness < -10
    assert 0.999 < np.abs(levelled.audio).max() <= 1


def test_silence_stays_silence_and_a_wrong_target_is_refused() -> None:
    silence = np.zeros((1, RATE), np.float32)
    levelled = audio.normalise_loudness(silence, -23)
    assert not levelled.reached
    assert not levelled.audio.any()
    for target in (1, -71, math.nan):
        with pytest.raises(ValueError, match="between -70 and 0"):
            audio.normalise_loudness(tone(), target)


@given(st.text(), st.integers(8, 100))
@settings(max_examples=300)
def test_file_names_from_any_text_are_safe(text: str, limit: int) -> None:
    stem = audio.file_stem(text, limit)
    assert 0 < len(stem.encode("utf-8")) <= max(limit, len("com1-sound"))
    assert not set(stem) & set('/\\:*?"<>|\0 .$`~;&')
    assert not stem.startswith("-")
    assert not stem.endswith("-")
    assert stem.isprintable()
    assert stem not in names.RESERVED_STEMS


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("A dog barking!", "a-dog-barking"),
        ("../../etc/passwd", "etc-passwd"),
        ("; rm -rf ~", "rm-rf"),
        ("Hundegebell für Ärger", "hundegebell-für-ärger"),
        ("犬が吠える", "犬が吠える"),
        ("CON", "con-sound"),
        ("com¹", "com1-sound"),
        ("...", "sound"),
        ("", "sound"),
        ("x" * 300, "x" * 60),
    ],
)
def test_file_name_examples(text: str, stem: str) -> None:
    assert audio.file_stem(text) == stem


@pytest.mark.parametrize(("mono", "channels"), [(True, 2), (False, 2), (False, 5)])
def test_blocks_are_the_file(mono: bool, channels: int, tmp_path: Path) -> None:
    """What is read in blocks is what is read at once; many channels make a block shorter, not larger."""
    sound = tone(channels=channels)
    soundfile.write(tmp_path / "a.wav", sound.T, RATE, subtype="FLOAT")
    blocks = list(audio.read_blocks(tmp_path / "a.wav", RATE, mono, 0.01))
    assert max(block.shape[1] for block in blocks) <= 0.01 * RATE
    most = {len(block) * block.shape[1] for block in blocks[:-1]}
    assert max(most) <= 2 * 0.01 * RATE
    whole = audio.read_audio(tmp_path / "a.wav", RATE, mono)
    assert np.array_equal(np.concatenate(blocks, axis=1), whole)


def test_files_that_are_too_long_to_be_read_whole_are_refused_by_their_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of silence are a small FLAC file; what is read counts at the rate that is asked for."""
    monkeypatch.setattr(files, "MOST_NUMBERS", 2 * RATE)
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros((RATE, 2)), RATE)
    assert audio.read_audio(path, RATE).shape == (1, RATE)
    assert audio.read_audio(path, RATE // 2).shape == (1, RATE // 2)
    with pytest.raises(ValueError, match=r"a.flac is 1 s long with 2 channels: no more than 0 s"):
        audio.read_audio(path, 4 * RATE)
    soundfile.write(path, np.zeros((RATE + 1, 2)), RATE)
    with pytest.raises(ValueError, match="read at once, so cut it into parts"):
        audio.read_audio(path, RATE)
    assert audio.read_audio(path, RATE, longest_seconds=1).shape == (1, RATE)


FULL_DISK = """
import resource, sys
import numpy as np
from woosh import audio
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 96_000)).astype(np.float32)
try:
    audio.write_audio(sys.argv[1], noise)
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg"])
def test_a_file_that_does_not_fit_is_named_with_the_systems_reason(
    tmp_path: Path, extension: str
) -> None:
    """ "System error." tells neither which file nor what to do; and half a sound must not stay."""
    pytest.importorskip("resource")
    command = [sys.executable, "-c", FULL_DISK, f"long.{extension}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout == f"cannot write long.{extension}: File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_sounds_are_written_through_links_and_not_over_read_only_files(tmp_path: Path) -> None:
    """Sounds follow the rule of every file that is written by name."""
    real, link = tmp_path / "real.wav", tmp_path / "link.wav"
    audio.write_audio(real, tone())
    link.symlink_to(real)
    audio.write_audio(link, tone(0.25))
    assert link.is_symlink()
    assert audio.audio_seconds(real) == 0.25
    real.chmod(0o444)
    with pytest.raises(PermissionError, match="link.wav is read-only"):
        audio.write_audio(link, tone())
