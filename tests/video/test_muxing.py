"""A soundtrack for a video: the picture stays bit for bit, the sound is where it should be."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.videos import steady_times, turned, write_video
from woosh.video import open_video
from woosh.video.muxing import (
    RATE,
    Soundtrack,
    check_output,
    left_behind,
    own_sound,
    placed,
    write_soundtrack,
)

CLICKS = (0.25, 1.1, 1.75)  # seconds


def clicks(seconds: float = 2.0, channels: int = 1) -> np.ndarray:
    """Short bursts of noise (C, S) at known times."""
    audio = np.zeros((channels, round(seconds * RATE)), dtype=np.float32)
    for click in (time for time in CLICKS if time < seconds):
        begin = round(click * RATE)
        audio[:, begin : begin + 240] = np.random.default_rng(0).uniform(-0.8, 0.8, 240)
    return audio


def packets(path: Path) -> list[tuple[bytes, float]]:
    """Every picture packet's bytes and its time in seconds after the first."""
    import av

    with av.open(str(path)) as container:
        found = [p for p in container.demux(container.streams.video[0]) if p.pts is not None]
        begin = min(p.pts for p in found)
        return [(bytes(p), float((p.pts - begin) * p.time_base)) for p in found]


def heard(path: Path) -> tuple[np.ndarray, float]:
    """Samples (2, S), and the seconds from the first picture to the first sample."""
    import av

    with av.open(str(path)) as container:
        sound = container.streams.audio[0]
        origin = open_video(path).origin * container.streams.video[0].time_base
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
        parts, first = [], None
        for frame in container.decode(sound):
            first = frame.pts * frame.time_base if first is None else first
            parts += [part.to_ndarray() for part in resampler.resample(frame)]
    assert first is not None
    return np.concatenate(parts, axis=1), float(first - origin)


def click_times(path: Path) -> list[float]:
    """When bursts of at least three tenths of the loudest begin, after the first picture."""
    audio, first = heard(path)
    loud = np.abs(audio[0]) > 0.3 * np.abs(audio[0]).max()
    places = np.flatnonzero(loud) / RATE
    begins = places[np.flatnonzero(np.diff(places, prepend=-1) > 0.1)]
    return [float(begin + first) for begin in begins]


@pytest.mark.parametrize(
    ("source", "picture", "output", "codec"),
    [
        ("a.mp4", "libx264", "b.mp4", "aac"),
        ("a.mp4", "libx264", "b.mp4", "flac"),
        ("a.mp4", "libx264", "b.mov", "aac"),
        ("a.mov", "mpeg4", "b.mkv", "aac"),
        ("a.mkv", "libx264", "b.mkv", "flac"),
        ("a.mkv", "libx264", "b.mkv", "opus"),
        ("a.webm", "libvpx-vp9", "b.webm", "opus"),
        ("a.webm", "libvpx-vp9", "b.mkv", "aac"),
        ("a.webm", "libvpx-vp9", "b.mp4", "aac"),
    ],
)
@pytest.mark.parametrize("first", [Fraction(0), Fraction(3, 5)], ids=["at-once", "late"])
def test_picture_is_kept_and_sound_is_in_time(
    source: str, picture: str, output: str, codec: str, first: Fraction, tmp_path: Path
) -> None:
    times = steady_times(Fraction(25), 2, first)
    own = np.zeros((1, RATE), dtype=np.float32)
    unit = Fraction(1, 30_000)
    video = open_video(write_video(tmp_path / source, times, picture, unit=unit, sound=own))
    write_soundtrack(video, Soundtrack(clicks()), tmp_path / output, codec=codec)
    before, after = packets(tmp_path / source), packets(tmp_path / output)
    assert [data for data, _ in after] == [data for data, _ in before]
    np.testing.assert_allclose([t for _, t in after], [t for _, t in before], atol=1.1e-3)
    assert click_times(tmp_path / output) == pytest.approx(CLICKS, abs=5e-3)
    audio, begin = heard(tmp_path / output)
    assert begin + audio.shape[1] / RATE == pytest.approx(video.seconds, abs=1 / 25)
    assert open_video(tmp_path / output).seconds == pytest.approx(video.seconds, abs=2e-3)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([source, output])


def test_times_of_a_variable_rate_and_rotation_are_kept(tmp_path: Path) -> None:
    times = [Fraction(n, 100) for n in (0, 3, 10, 11, 40, 41, 90, 140)]
    video = open_video(turned(write_video(tmp_path / "a.mp4", times), 1))
    write_soundtrack(video, Soundtrack(clicks(1)), tmp_path / "b.mp4")
    copy = open_video(tmp_path / "b.mp4")
    np.testing.assert_allclose(copy.times, [float(t) for t in times], atol=1e-4)
    assert (copy.width, copy.height) == (48, 64)


def test_sound_is_placed_and_the_rest_is_silent(tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "a.mkv", steady_times(Fraction(25), 3)))
    write_soundtrack(video, Soundtrack(clicks(), start=0.5), tmp_path / "b.mkv", "flac")
    assert click_times(tmp_path / "b.mkv") == pytest.approx(np.add(CLICKS, 0.5), abs=1e-3)
    audio, begin = heard(tmp_path / "b.mkv")
    assert begin == 0
    assert audio.shape[1] == 3 * RATE
    assert not audio[:, : RATE // 2].any()


@pytest.mark.parametrize("first", [Fraction(0), Fraction(1, 5)], ids=["at-once", "late"])
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_mixing_keeps_the_own_sound(name: str, first: Fraction, tmp_path: Path) -> None:
    times = steady_times(Fraction(25), 2, first)
    own = np.repeat(0.6 * clicks(3), 2, axis=0)
    video = open_video(write_video(tmp_path / name, times, sound=own))
    added = np.zeros((1, 2 * RATE), dtype=np.float32)
    added[0, round(0.7 * RATE) :][:240] = clicks()[0, round(CLICKS[0] * RATE) :][:240]
    write_soundtrack(video, Soundtrack(added, mix_decibels=-6.02), tmp_path / "b.mkv", "flac")
    audio, _ = heard(tmp_path / "b.mkv")
    assert audio.shape == (2, 2 * RATE)
    late = float(first)
    expected = sorted([CLICKS[0] - late, 0.7, CLICKS[1] - late, CLICKS[2] - late])
    assert click_times(tmp_path / "b.mkv") == pytest.approx(expected, abs=2e-3)
    half = np.abs(added).max() / 2
    assert np.abs(audio[:, round(0.68 * RATE) :][:, :2_000]).max() == pytest.approx(half, rel=0.02)


def test_loud_mixes_are_scaled_not_clipped(tmp_path: Path) -> None:
    own = np.full((1, 2 * RATE), 0.0, dtype=np.float32)
    own[0] = 0.9 * np.sin(2 * np.pi * 220 * np.arange(2 * RATE) / RATE)
    video = open_video(write_video(tmp_path / "a.mkv", steady_times(Fraction(25), 2), sound=own))
    write_soundtrack(video, Soundtrack(clicks(), mix_decibels=0), tmp_path / "b.mkv", "flac")
    assert 0.97 < np.abs(heard(tmp_path / "b.mkv")[0]).max() <= 1


@pytest.mark.parametrize(
    ("source", "picture", "output", "codec", "message"),
    [
        ("a.mp4", "libx264", "b.webm", None, r"cannot hold the picture's h264.* \.mp4 or \.mov"),
        ("a.webm", "libvpx", "b.mp4", None, r"the picture's vp8 .*name the output \.webm or \.mkv"),
        ("a.mp4", "libx264", "b.mov", "opus", r"\.mov holds aac, not opus; opus goes into \.mkv"),
        ("a.mp4", "libx264", "b.mp4", "mp3", r"\.mp4 holds aac or flac, not mp3$"),
        ("a.mp4", "libx264", "b.avi", None, r"must end in \.mp4, \.mov, \.mkv, \.webm"),
        ("a.mp4", "libx264", "b", None, "must end in"),
    ],
)
def test_pairs_that_cannot_be(
    source: str, picture: str, output: str, codec: str | None, message: str, tmp_path: Path
) -> None:
    video = open_video(write_video(tmp_path / source, steady_times(Fraction(25), 1), picture))
    with pytest.raises(ValueError, match=message):
        write_soundtrack(video, Soundtrack(clicks()), tmp_path / output, codec=codec)
    assert [file.name for file in tmp_path.iterdir()] == [source]


def test_nothing_is_lost_when_it_fails(tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "a.mp4", steady_times(Fraction(25), 1)))
    kept = (tmp_path / "a.mp4").read_bytes()
    with pytest.raises(ValueError, match="no sound to mix with"):
        check_output(video, tmp_path / "b.mp4", mix=True)
    with pytest.raises(ValueError, match="finite, mono or stereo"):
        write_soundtrack(video, Soundtrack(np.full((1, 10), np.nan)), tmp_path / "b.mp4")
    with pytest.raises(ValueError, match="finite, mono or stereo"):
        write_soundtrack(video, Soundtrack(np.zeros((3, 10))), tmp_path / "b.mp4")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OSError, match="not a file"):
        write_soundtrack(video, Soundtrack(clicks()), tmp_path / "folder.mp4")
    with pytest.raises(ValueError, match="is the video itself"):
        write_soundtrack(video, Soundtrack(clicks()), tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == kept
    assert len(list(tmp_path.iterdir())) == 2
    write_soundtrack(video, Soundtrack(clicks()), tmp_path / "b.mp4")
    assert click_times(tmp_path / "b.mp4") == pytest.approx(CLICKS[:1], abs=5e-3)


def test_placing_in_blocks() -> None:
    audio = np.random.default_rng(0).uniform(-1, 1, (2, 9_000)).astype(np.float32)
    for begin, count in ((0, 9_000), (100, 20_000), (4_700, 5_000), (30_000, 10_000)):
        whole = np.zeros((2, max(count, begin + 9_000)), dtype=np.float32)
        whole[:, begin : begin + 9_000] = audio
        np.testing.assert_array_equal(
            np.concatenate(list(placed(audio, begin, count)), axis=1), whole[:, :count]
        )


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000])
def test_own_sound_of_any_rate_keeps_its_place(rate: int, tmp_path: Path) -> None:
    """A resampler holds back what it needs: taken for a gap, that moved all further sound by a millisecond or two."""
    import av

    seconds = 1.5
    times = np.arange(round(seconds * rate)) / rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * times) * 32_767).astype(np.int16)
    with av.open(str(tmp_path / "a.mkv"), "w") as target:
        picture, sound = (
            target.add_stream("libx264", rate=24),
            target.add_stream("pcm_s16le", rate=rate),
        )
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound.codec_context.layout = "mono"
        for _ in range(36):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            target.mux(picture.encode(frame))
        for start in range(0, len(tone), 1000):
            block = av.AudioFrame.from_ndarray(tone[None, start : start + 1000], "s16", "mono")
            block.sample_rate, block.pts, block.time_base = rate, start, Fraction(1, rate)
            target.mux(sound.encode(block))
        for stream in (picture, sound):
            target.mux(stream.encode(None))
    video = open_video(tmp_path / "a.mkv")
    count = round(seconds * RATE)
    heard_again = np.concatenate(list(own_sound(video, count)), axis=1)
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(count) / RATE)
    # Within a tenth of a sample: of this tone that is .0058 of the amplitude. The ends lack neighbours.
    assert heard_again.shape == (2, count)
    assert np.abs(heard_again[0] - wanted)[200:-200].max() < 0.005


def test_what_a_copy_does_not_hold_is_told(tmp_path: Path) -> None:
    """A second language or chapters must not go without a word."""
    import av

    plain = write_video(tmp_path / "plain.mp4", steady_times(Fraction(25), 1.0), sound=clicks(1.0))
    assert left_behind(open_video(plain), mix=True) == []
    with av.open(str(plain)) as source, av.open(str(tmp_path / "rich.mp4"), "w") as target:
        kept = {
            stream: target.add_stream_from_template(stream)
            for stream in (source.streams.video[0], source.streams.audio[0])
        }
        second = target.add_stream_from_template(source.streams.audio[0])
        target.set_chapters(
            [{"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {}}]
        )
        for packet in source.demux(*kept):
            if packet.dts is not None:
                sound = packet.stream.type == "audio"
                data, times = bytes(packet), (packet.pts, packet.dts, packet.time_base)
                packet.stream = kept[packet.stream]
                target.mux(packet)
                if sound:
                    again = av.Packet(data)
                    again.pts, again.dts, again.time_base = times
                    again.stream = second
                    target.mux(again)
    rich = open_video(tmp_path / "rich.mp4")
    assert left_behind(rich, mix=False) == ["its other soundtracks", "its chapters"]
    late = write_video(tmp_path / "late.mp4", steady_times(Fraction(25), 1.0), sound=clicks(1.8))
    assert left_behind(open_video(late), mix=False) == []
    assert left_behind(open_video(late), mix=True) == ["its sound after the last picture"]
