"""Files whose header does not say, or says wrongly, how long they are."""

import itertools
import re
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from woosh import audio
from woosh.audio import headers

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


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize(
    "name",
    ["a.wav", "a.aiff", "a.caf", "a.w64", "a.flac", "unknown.flac", "a.ogg", "a.opus"]
    + ["constant.mp3", "variable.mp3"],
)
def test_files_that_are_cut_are_said_to_be_cut(tmp_path: Path, name: str, share: float) -> None:
    """Half a recording must not be taken for a whole one."""
    path = tmp_path / name
    if path.suffix == ".mp3":
        write_mp3(path, constant=path.stem == "constant", counted=True)
    elif path.stem == "unknown":
        write_flac_of_unknown_length(path)
    elif path.suffix == ".opus":
        soundfile.write(path, sound(), RATE, format="OGG", subtype="OPUS")
    else:
        soundfile.write(path, sound(), RATE)
    assert audio.read_audio(path, RATE).shape[1] == pytest.approx(SECONDS * RATE, abs=3000)
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])
    with pytest.raises(ValueError, match=rf"{name} is cut") as raised:
        audio.read_audio(path, RATE)
    assert "\n" not in str(raised.value)


def test_a_file_that_ends_in_its_first_frame_is_there(tmp_path: Path) -> None:
    """libsndfile says of it that it does not exist."""
    write_mp3(tmp_path / "a.mp3", constant=True, counted=True)
    (tmp_path / "a.mp3").write_bytes((tmp_path / "a.mp3").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"a.mp3 as audio: it ends within its first frame"):
        audio.read_audio(tmp_path / "a.mp3")


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.caf", "a.w64", "a.flac", "a.ogg", "a.mp3"])
def test_tags_behind_the_samples_are_no_cut(tmp_path: Path, name: str) -> None:
    """Some programs leave bytes of their own behind what the format knows."""
    path = tmp_path / name
    soundfile.write(path, sound(), RATE)
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
    assert audio.read_audio(path, RATE).shape[1] == pytest.approx(SECONDS * RATE, abs=3000)


def test_a_file_of_unknown_length_has_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A megabyte of silence in MP3 or FLAC can stand for gigabytes of samples; what is asked for is read of longer ones."""
    write_mp3(tmp_path / "a.mp3", constant=True, counted=False)
    write_flac_of_unknown_length(tmp_path / "a.flac")
    monkeypatch.setattr(headers, "MOST_DECODED", RATE)
    for name in ("a.mp3", "a.flac"):
        with pytest.raises(ValueError, match=rf"{name} does not say how long it is, and is longer"):
            audio.read_audio(tmp_path / name)
        assert audio.read_audio(tmp_path / name, longest_seconds=0.5).shape == (1, RATE // 2)


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


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.caf", "a.w64"])
def test_a_file_that_ends_within_its_header_is_refused_by_name(name: str, tmp_path: Path) -> None:
    """One FLAC file of 14 bytes was an IndexError."""
    path = tmp_path / name
    soundfile.write(path, np.zeros(4800), 48_000)
    whole = path.read_bytes()
    for length in range(1, 60):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=re.escape(str(path))):
            audio.read_audio(path)


def test_a_header_with_a_wrong_byte_is_read_or_refused_by_name(tmp_path: Path) -> None:
    """A FLAC file of unknown length and one bit for a sample, cut in its first frame, ended in an error of another file."""
    path = tmp_path / "a.flac"
    write_flac_of_unknown_length(path)
    whole, refused = path.read_bytes(), 0
    for place, wrong, length in itertools.product(
        range(42), (b"", b"\0", b"\xff"), (400, len(whole))
    ):
        path.write_bytes((whole[:place] + wrong + whole[place + 1 :])[:length])
        try:
            audio.read_audio(path)
        except ValueError as error:
            assert str(path) in str(error), (place, wrong, error)
            refused += 1
    assert refused > 30
