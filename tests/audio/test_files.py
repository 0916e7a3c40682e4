"""Audio files that are read, levels and names; what is wrong is refused by name."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sounds import sine
from woosh import audio
from woosh.audio import files, names

RATE = 48_000


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
    assert audio.loudness(sine(seconds=3, amplitude=1.0)) == pytest.approx(-3.01, abs=0.1)
    assert audio.loudness(np.zeros((1, RATE), np.float32)) == -math.inf


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.399, 0.4, 1.0])
def test_short_clips_have_the_loudness_of_long_ones(seconds: float) -> None:
    long = audio.loudness(sine(seconds=3))
    assert audio.loudness(sine(seconds=seconds)) == pytest.approx(long, abs=0.3)


@pytest.mark.parametrize("seconds", [0.05, 0.4, 2.0])
def test_normalised_loudness_is_reached(seconds: float) -> None:
    levelled = audio.normalise_loudness(sine(seconds=seconds, amplitude=0.01), -23)
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
            audio.normalise_loudness(sine(), target)


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
    sound = sine(channels=channels)
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
