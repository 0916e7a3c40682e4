"""A soundtrack for a video: the picture stays bit for bit, the sound is where it should be."""

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

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


def write_rich(path: Path, folder: Path, begin: float = 0.0) -> Path:
    """A film of a second with two soundtracks, subtitles and two chapters, whose first picture begins late."""
    import av

    times = [time + Fraction(begin) for time in steady_times(Fraction(25), 1.0)]
    plain = write_video(folder / f"plain{path.suffix}", times, sound=clicks(1.0))
    (folder / "words.srt").write_text(
        "1\n00:00:00,100 --> 00:00:00,400\nOne.\n\n2\n00:00:00,600 --> 00:00:00,900\nTwo.\n"
    )
    with ExitStack() as stack:
        pictures, sound, again, words = (
            stack.enter_context(av.open(str(file)))
            for file in (plain, plain, plain, folder / "words.srt")
        )
        target = stack.enter_context(av.open(str(path), "w"))
        streams = [pictures.streams.video[0], sound.streams.audio[0], again.streams.audio[0]]
        streams.append(words.streams.subtitles[0])
        copies = [target.add_stream_from_template(stream) for stream in streams]
        copies[2].metadata["language"] = "fra"
        target.set_chapters(
            [
                {"id": n, "start": 500 * n, "end": 500 * n + 500, "time_base": Fraction(1, 1000)}
                | {"metadata": {"title": f"part {n}"}}
                for n in range(2)
            ]
        )
        for stream, copy in zip(streams, copies, strict=True):
            for packet in stream.container.demux(stream):
                if packet.dts is not None and packet.size:
                    packet.stream = copy
                    target.mux(packet)
    return path


@pytest.mark.parametrize("container", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("mix", [None, 0.0])
def test_what_a_container_takes_is_copied_and_the_rest_is_told(
    container: str, mix: float | None, tmp_path: Path
) -> None:
    """A second language, subtitles and chapters stay, at their times; what cannot stay must not go without a word."""
    import av

    rich = open_video(write_rich(tmp_path / "rich.mkv", tmp_path, begin=0.2))
    begin = rich.origin * rich.resolution
    assert 0.2 <= begin < 0.3
    output = tmp_path / f"copy{container}"
    write_soundtrack(rich, Soundtrack(clicks(1.0), mix_decibels=mix), output)
    assert packets(output) == packets(rich.path)
    told = left_behind(rich, container, mix is not None)
    assert told == ([] if container == ".mkv" else ["its subtitles in subrip"])
    with av.open(str(rich.path)) as source, av.open(str(output)) as copy:
        assert len(copy.streams.audio) == 2
        assert copy.streams.audio[1].language == "fra"
        chapters = [(c["start"] * c["time_base"], c["metadata"]["title"]) for c in copy.chapters()]
        assert chapters == [(0, "part 0"), (pytest.approx(0.5 - begin, abs=0.002), "part 1")]
        kept = timed_packets(copy, copy.streams.audio[1], 0.0)
        own = timed_packets(source, source.streams.audio[1], begin)
        assert [data for data, _ in kept] == [data for data, _ in own]
        assert [at for _, at in kept] == pytest.approx([at for _, at in own], abs=0.0015)
        assert len(kept) > 30
        assert len(copy.streams.subtitles) == (container == ".mkv")
    if container == ".mkv":
        with av.open(str(output)) as copy:
            assert timed_packets(copy, copy.streams.subtitles[0], 0.0) == [
                (b"Two.", round(0.6 - begin, 2))
            ]


def timed_packets(container: Any, stream: Any, begin: float) -> list[tuple[bytes, float]]:
    """Packets from a moment on, with their seconds since then."""
    found = [
        (bytes(p), float(p.pts * p.time_base) - begin) for p in container.demux(stream) if p.size
    ]
    return [(data, time) for data, time in found if time > -0.0005]


def test_transparency_stays_where_a_container_holds_it(tmp_path: Path) -> None:
    """The picture that says what is transparent travels beside each packet; without its mark no player looks for it."""
    import av

    path = write_video(
        tmp_path / "a.webm", steady_times(Fraction(25), 0.5), "libvpx-vp9", pixels="yuva420p"
    )
    video = open_video(path)
    with av.open(str(path)) as source:
        expected = second_pictures(source)
    assert len(expected) == 12 and all(expected)
    for name in ("b.webm", "b.mkv"):
        write_soundtrack(video, Soundtrack(clicks(0.5)), tmp_path / name)
        assert left_behind(video, f".{name[2:]}", mix=False) == []
        with av.open(str(tmp_path / name)) as copy:
            assert copy.streams.video[0].metadata["alpha_mode"] == "1"
            assert second_pictures(copy) == expected
    assert left_behind(video, ".mp4", mix=False) == ["its transparency"]


def second_pictures(container: Any) -> list[bytes]:
    """What stands beside each packet of the picture."""
    return [
        b"".join(bytes(data) for data in packet.iter_sidedata())
        for packet in container.demux(container.streams.video[0])
        if packet.size
    ]


def test_sound_after_the_last_picture_is_told(tmp_path: Path) -> None:
    """A mix ends with the picture, and what is cut must not go without a word."""
    plain = write_video(tmp_path / "plain.mp4", steady_times(Fraction(25), 1.0), sound=clicks(1.0))
    assert left_behind(open_video(plain), ".mp4", mix=True) == []
    late = write_video(tmp_path / "late.mp4", steady_times(Fraction(25), 1.0), sound=clicks(1.8))
    assert left_behind(open_video(late), ".mp4", mix=False) == []
    assert left_behind(open_video(late), ".mp4", mix=True) == ["its sound after the last picture"]
