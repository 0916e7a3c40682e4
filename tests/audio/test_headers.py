"""Files whose header does not say, or says wrongly, how long they are."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from woosh import audio

RATE = 48_000
SECONDS = 4


def sound() -> np.ndarray:
    """A tone, then noise: what a variable bit rate spends most on comes last, so that guesses from the start fail."""
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(SECONDS * RATE) / RATE)
    tone[: SECONDS * RATE // 2] = 0
    return tone.astype(np.float32)


def write_mp3(path: Path, constant: bool, counted: bool) -> None:
    """An MP3 file with or without a count of its frames."""
    options = {"write_xing": str(int(counted))}
    with av.open(str(path), "w", format="mp3", options=options) as container:
        stream = container.add_stream("libmp3lame", rate=RATE, layout="mono", format="fltp")
        if constant:
            stream.codec_context.bit_rate = 64_000
        else:
            stream.codec_context.qscale = True
            stream.codec_context.global_quality = 4 * 118
        samples = sound()
        for start in range(0, len(samples), 4_800):
            block = samples[None, start : start + 4_800]
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def cut(path: Path) -> None:
    """Keep 60 % of a file's bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])


def write_flac_of_unknown_length(path: Path) -> None:
    """As a program writes it into a pipe: the count of samples in its header is 0."""
    soundfile.write(path, sound(), RATE, format="FLAC")
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("front", [b"", b"ID3\x03\0\0\0\0\x20\0" + bytes(4096)])
@pytest.mark.parametrize("behind", [b"", b"TAG" + bytes(125), b"x" * 4000])
def test_mp3_without_a_count_of_frames_is_read_whole(
    tmp_path: Path, constant: bool, front: bytes, behind: bytes
) -> None:
    """libsndfile guesses such a file's length from its first frames, and refuses or cuts it without a word."""
    path = tmp_path / "a.mp3"
    write_mp3(path, constant, counted=False)
    path.write_bytes(front + path.read_bytes() + behind)
    read = audio.read_audio(path)[0]
    assert audio.audio_seconds(path) == len(read) / RATE
    assert SECONDS <= len(read) / RATE < SECONDS + 0.1
    assert np.abs(read[: RATE // 2]).max() < 0.01
    assert np.abs(read[-RATE:]).max() > 0.25
    assert audio.read_audio(path, longest_seconds=1.0).shape == (1, RATE)
    assert len(list(audio.read_seconds(path, RATE, 0.0))) == SECONDS + 1


def test_flac_of_unknown_length_is_read_whole(tmp_path: Path) -> None:
    """libsndfile refuses it without a reason."""
    path = tmp_path / "a.flac"
    write_flac_of_unknown_length(path)
    assert np.abs(audio.read_audio(path)[0] - sound()).max() < 1e-4
    assert audio.audio_seconds(path) == SECONDS


def test_files_that_are_cut_are_said_to_be_cut(tmp_path: Path) -> None:
    """Half a recording must not be taken for a whole one."""
    constant, variable = tmp_path / "constant.mp3", tmp_path / "variable.mp3"
    write_mp3(constant, constant=True, counted=True)
    write_mp3(variable, constant=False, counted=True)
    flac, unknown, wave = tmp_path / "a.flac", tmp_path / "unknown.flac", tmp_path / "a.wav"
    soundfile.write(flac, sound(), RATE)
    write_flac_of_unknown_length(unknown)
    soundfile.write(wave, sound(), RATE)
    for path in (constant, variable, flac, unknown, wave):
        cut(path)
        with pytest.raises(ValueError, match=f"{path.name}.*(truncated|lost sync)"):
            audio.read_audio(path)


def test_a_wav_file_written_into_a_pipe_has_no_length_to_miss(tmp_path: Path) -> None:
    """Such files carry the largest size there is, and are whole."""
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(), RATE)
    data = path.read_bytes()
    at = data.index(b"data") + 4
    path.write_bytes(data[:at] + b"\xff" * 4 + data[at + 4 :])
    assert audio.read_audio(path).shape == (1, SECONDS * RATE)


@pytest.mark.parametrize("rate", [1, 999, 768_001, 100_000_000])
def test_sample_rates_that_no_recording_has_are_refused(tmp_path: Path, rate: int) -> None:
    """A few bytes at 1 Hz would become gigabytes when they are resampled."""
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(), rate)
    with pytest.raises(ValueError, match=f"a.wav has a sample rate of {rate} Hz"):
        audio.read_audio(path)


def test_flac_files_with_a_tag_in_front_are_read(tmp_path: Path) -> None:
    """Content Credentials stand in such a tag, and some taggers write one."""
    path = tmp_path / "a.flac"
    soundfile.write(path, sound(), RATE)
    plain = audio.read_audio(path, RATE)
    path.write_bytes(b"ID3\x04\0\0\0\0\x01\x00" + bytes(128) + path.read_bytes())
    assert np.array_equal(audio.read_audio(path, RATE), plain)
