"""Reading video: every moment shows the picture that a player would show then."""

import importlib.util
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.videos import numbered_picture, read_number, steady_times, turned, write_video
from woosh.video import pictures
from woosh.video.pictures import (
    Video,
    View,
    decord_problem,
    fitted,
    open_video,
    pictures_at,
    read_frames,
)

FILM = Fraction(24_000, 1001)
BROADCAST = Fraction(30_000, 1001)
needs_decord = pytest.mark.skipif(
    importlib.util.find_spec("decord") is None, reason="decord has no wheel here"
)
READERS = ["pyav", pytest.param("decord", marks=needs_decord)]


def numbers(video: Video, rate: float, **options: Any) -> list[int]:
    """The numbers of the pictures that are read."""
    reader = options.pop("reader", "auto")
    windows = list(read_frames(video, View(rate, 64, **options), reader=reader))
    return [read_number(picture.permute(1, 2, 0).numpy()) for picture in torch.cat(windows)]


def shown_at(times: list[Fraction], rate: float, start: float, count: int) -> list[int]:
    """The number of the last picture that had begun at each moment, by exact arithmetic."""
    first = times[0]
    moments = [Fraction(start) + Fraction(k) / Fraction(rate) for k in range(count)]
    return [max(n for n, time in enumerate(times) if time - first <= m) for m in moments]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("name", "codec", "unit"),
    [
        ("a.mp4", "libx264", Fraction(1, 90_000)),
        ("a.mkv", "libx264", Fraction(1, 1000)),
        ("a.webm", "libvpx-vp9", Fraction(1, 1000)),
        ("a.mov", "mpeg4", Fraction(1, 30_000)),
    ],
)
@pytest.mark.parametrize("source", [FILM, 24, 25, BROADCAST, 30, 60, 12], ids=str)
def test_steady_rates(
    source: Fraction, name: str, codec: str, unit: Fraction, reader: str, tmp_path: Path
) -> None:
    times = steady_times(Fraction(source), 2)
    video = open_video(write_video(tmp_path / name, times, codec, unit=unit))
    assert video.seconds == pytest.approx(len(times) / source, abs=0.5 / source)
    found = numbers(video, 24, reader=reader, seconds=1.9)
    wanted = shown_at(times, 24, 0, len(found))
    # A container of milliseconds may move a stamp across a moment that it nearly equals.
    near = 0 if unit < Fraction(1, 1000) else 1
    assert len(found) == round(1.9 * 24)
    assert all(abs(a - b) <= near for a, b in zip(found, wanted, strict=True))
    if 24 in (source, source * 2):
        assert found == wanted  # own pictures, none twice and none left out


@pytest.mark.parametrize("reader", READERS)
def test_variable_rate(reader: str, tmp_path: Path) -> None:
    gaps = np.random.default_rng(0).choice([1, 2, 3, 7, 25], 60)
    times = [Fraction(int(total), 100) for total in np.cumsum([0, *gaps])]
    video = open_video(write_video(tmp_path / "a.mp4", times))
    for start in (0.0, 0.5, 2.345):
        found = numbers(video, 48, start=start, seconds=1.5, reader=reader)
        assert found == shown_at(times, 48, start, 72)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_late_start_counts_from_the_first_picture(name: str, reader: str, tmp_path: Path) -> None:
    times = steady_times(Fraction(25), 2, first=Fraction(7, 10))
    sound = np.zeros((1, 48_000), dtype=np.float32)
    video = open_video(write_video(tmp_path / name, times, sound=sound))
    assert video.times[0] == 0
    assert numbers(video, 25, reader=reader) == list(range(50))


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("reader", ["auto", "pyav"])
def test_rotation(turns: int, reader: str, tmp_path: Path) -> None:
    times = steady_times(Fraction(10), 1)
    path = turned(write_video(tmp_path / "a.mp4", times, size=(64, 48)), turns)
    video = open_video(path)
    assert (video.width, video.height) == ((64, 48) if turns % 2 == 0 else (48, 64))
    window = torch.cat(list(read_frames(video, View(10, 64), reader=reader)))
    unturned = torch.rot90(window, turns, (2, 3))  # counterclockwise undoes clockwise
    found = [read_number(picture.permute(1, 2, 0).numpy()) for picture in unturned]
    assert found == list(range(10))


@pytest.mark.parametrize("reader", ["auto", "pyav"])  # decord misreads the smallest
@pytest.mark.parametrize("size", [(33, 51), (101, 17), (8, 8)])
def test_odd_sizes(size: tuple[int, int], reader: str, tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mkv", steady_times(Fraction(10), 1), "ffv1", size, pixels="bgr0"
    )
    assert numbers(open_video(path), 10, reader=reader) == list(range(10))


@needs_decord
@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.webm", "libvpx-vp9")])
def test_both_readers_see_equal_pictures(name: str, codec: str, tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / name, steady_times(BROADCAST, 3), codec, (96, 80)))
    assert decord_problem(video) is None
    ours, theirs = (
        torch.cat(list(read_frames(video, View(24, 40, 0.4, 2.2, "crop"), reader=reader)))
        for reader in ("pyav", "decord")
    )
    assert torch.equal(ours, theirs)


def test_windows_are_equal_to_the_whole(tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "a.mp4", steady_times(Fraction(30), 2)))
    whole = torch.cat(list(read_frames(video, View(24, 32), window=1000)))
    windows = list(read_frames(video, View(24, 32), window=7))
    assert all(len(window) == 7 for window in windows[:-1])
    assert torch.equal(torch.cat(windows), whole)
    assert len(whole) == 48


@settings(deadline=None)
@given(
    gaps=st.lists(st.integers(1, 40), min_size=1, max_size=50),
    rate=st.sampled_from([1, 12, 24, 25, 60]),
    start=st.integers(0, 100),
)
def test_picture_of_a_moment(gaps: list[int], rate: int, start: int) -> None:
    times = [Fraction(int(total), 200) for total in np.cumsum([0, *gaps])][:-1]
    end = float(sum(gaps)) / 200
    begin = start / 100 * end * 0.99
    video = Video(Path("a"), np.array([float(t) for t in times]), end, 4, 4, 1e-6, 0)
    found = pictures_at(video, rate, begin, None)
    moments = begin + np.arange(len(found)) / rate
    for moment, number in zip(moments, found, strict=True):
        assert video.times[number] <= moment + 1e-5
        assert number + 1 == len(times) or video.times[number + 1] > moment - 1e-5
    assert len(found) == max(1, round((end - begin) * rate))


def test_fitting() -> None:
    picture = numbered_picture(0b10010110, 80, 40)
    assert read_number(fitted(picture, 32, "squash").permute(1, 2, 0).numpy()) == 0b10010110
    middle = torch.from_numpy(picture[:, 20:60]).permute(2, 0, 1)
    assert torch.equal(fitted(picture, 40, "crop"), middle)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file"):
        open_video(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no video at all")
    with pytest.raises(ValueError, match="no video that can be read"):
        open_video(tmp_path / "text.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match="no video that can be read"):
        open_video(tmp_path / "empty.mp4")
    import soundfile

    soundfile.write(tmp_path / "sound.ogg", np.zeros(4800), 48_000)
    with pytest.raises(ValueError, match="no video stream"):
        open_video(tmp_path / "sound.ogg")


LISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n",
    "endless": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{path}\n",
    "concat": "ffconcat version 1.0\nfile '{path}'\n",
    "description": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>'
    "<Representation id='1'><BaseURL>{path}</BaseURL></Representation></AdaptationSet></Period></MPD>",
}


@pytest.mark.parametrize("name", ["film.m3u8", "film.mp4", "film.mkv"])
@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_other_files_are_not_followed(kind: str, name: str, tmp_path: Path) -> None:
    """A file from elsewhere must not make us open others, nor wait for more of a list without an end."""
    inside = write_video(tmp_path / "inside.ts", steady_times(Fraction(25), 1))
    open_video(inside)
    (tmp_path / name).write_text(LISTS[kind].format(path=inside))
    with pytest.raises(ValueError, match=r"is no video that can be read: .*\(read are MP4"):
        open_video(tmp_path / name)


@pytest.mark.parametrize("ending", ["gif", "png", "jpg"])
def test_pictures_are_no_videos(ending: str, tmp_path: Path) -> None:
    """They were refused only once their sound was made."""
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / f"a.{ending}")
    with pytest.raises(ValueError, match="no video that can be read"):
        open_video(tmp_path / f"a.{ending}")


@pytest.mark.parametrize("name", ["take:1.mp4", "file:a.mp4", "-a.mp4", "a%03d.mp4", "pipe:0.mp4"])
def test_names_are_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in front of a colon is no protocol, and a relative path is one of a file."""
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "plain.mp4", steady_times(Fraction(10), 1)).rename(tmp_path / name)
    assert len(open_video(name).times) == 10


def test_what_is_too_large_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small file may hold pictures that fill the memory, or stamps that are years apart."""
    far = [Fraction(0), Fraction(10**7)]
    with pytest.raises(ValueError, match=r"has 2 pictures over 2e\+07 s, and up to"):
        open_video(write_video(tmp_path / "far.mkv", far, unit=Fraction(1, 1000)))
    path = write_video(tmp_path / "a.mp4", steady_times(Fraction(10), 1))
    monkeypatch.setattr(pictures, "MOST_PICTURES", 9)
    with pytest.raises(ValueError, match="has 10 pictures over 1 s"):
        open_video(path)
    monkeypatch.setattr(pictures, "MOST_PIXELS", 64 * 48 - 1)
    with pytest.raises(ValueError, match="pictures of 64 x 48, and up to 3,071 pixels are read"):
        open_video(path)


def test_a_damaged_picture_leaves_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of sixty pictures one cannot be decoded: the one before stands for it, and it is told."""
    import av

    path = write_video(
        tmp_path / "a.avi", steady_times(Fraction(30), 2), "mjpeg", pixels="yuvj420p"
    )
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    position, size = packets[20]
    damaged = bytearray(path.read_bytes())
    damaged[position + 8 : position + 8 + size] = bytes(size)
    path.write_bytes(damaged)
    video = open_video(path)
    chosen = [0, 19, 20, 21, 59]
    numbers = [read_number(picture) for picture in pictures.read_with_pyav(video, chosen)]
    assert numbers == [0, 19, 19, 21, 59]
    assert "pictures before stand for 1 that are damaged" in caplog.text


@pytest.mark.parametrize("reader", ["auto", "decord"])
@pytest.mark.parametrize("place", [0, 1, 7])
def test_damage_that_decord_does_not_read_is_left_to_pyav(
    place: int, reader: str, tmp_path: Path
) -> None:
    """One wrong picture ended everything by an error of decord's own."""
    import av

    path = write_video(tmp_path / "a.mp4", steady_times(Fraction(10), 1))
    video = open_video(path)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    position, size = packets[place]
    damaged = bytearray(path.read_bytes())
    damaged[position : position + size] = b"\xff" * size
    path.write_bytes(damaged)
    try:
        shapes = [picture.shape for picture in read_frames(video, View(10.0, 32), 10, reader)]
    except ValueError as error:
        assert "a.mp4" in str(error)
    else:
        assert shapes == [(10, 3, 32, 32)]


def test_cut_file(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", steady_times(Fraction(30), 4)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # the index is at the end
    with pytest.raises(ValueError, match="no video that can be read"):
        open_video(tmp_path / "cut.mp4")


def test_bad_arguments(tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "a.mp4", steady_times(Fraction(10), 1)))
    views: tuple[tuple[dict[str, Any], str], ...] = (
        ({"start": 1.0}, "lasts 1.00 s: it cannot be read from 1 s"),
        ({"start": -0.1}, "cannot be read from"),
        ({"seconds": 0.0}, "seconds must be above 0"),
        ({"seconds": 2.0}, "there are no 2 s"),
        ({"fit": "stretch"}, "fit is 'stretch'"),
        ({"rate": 0.0}, "rate 0.0 and size 32 must be above 0"),
    )
    for options, message in views:
        with pytest.raises(ValueError, match=message):
            next(read_frames(video, View(**({"rate": 24, "size": 32} | options))))
    readings: tuple[tuple[dict[str, Any], str], ...] = (
        ({"window": 0}, "must be above 0"),
        ({"reader": "vlc"}, "reader is 'vlc'"),
    )
    for options, message in readings:
        with pytest.raises(ValueError, match=message):
            next(read_frames(video, View(24, 32), **options))


measured = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="no /proc that tells a process's peak"
)
# The peak that getrusage tells is no less than that of the process that started this one. What libraries and decoders
# need at all differs between machines by as much as a film, so the beginning is read first and only further growth counts.
GROWTH_OF_READING = """
import sys, torch
from pathlib import Path
from typing import Any
from woosh.video import View, open_video, read_frames
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
def pictures(seconds):
    return sum(len(window) for window in read_frames(video, View(24, 64, seconds=seconds), reader=sys.argv[2]))
video = open_video(sys.argv[1])
pictures(float(sys.argv[3]))
before = peak()
print(pictures(None), peak() - before)
"""


def growth_of_reading(path: Path, reader: str, beginning: float) -> tuple[int, float]:
    """Pictures of a whole film, and by how many megabytes more its process grew than for the first seconds."""
    command = [sys.executable, "-c", GROWTH_OF_READING, str(path), reader, str(beginning)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    count, grown = map(int, out.split())
    return count, grown / 1024


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "a.mp4"
    return write_video(path, steady_times(Fraction(24), 150), size=(320, 240))


@pytest.mark.slow
@measured
@pytest.mark.parametrize("reader", READERS)
def test_a_film_is_never_held_whole(reader: str, film: Path) -> None:
    # decord grows until a new reader takes over, so the beginning holds several of its readers
    beginning = 3 * pictures.DECORD_PICTURES / 24
    count, grown = growth_of_reading(film, reader, beginning)
    assert count == 3600
    assert grown < 330  # the other 119 s have 660 MB of pictures


@pytest.mark.slow
@measured
def test_8k_pictures_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "8k.mp4", steady_times(Fraction(6), 1.5), size=(7680, 4320))
    count, grown = growth_of_reading(path, "pyav", 0.5)
    assert count == 36
    assert (
        grown < 450
    )  # the other 6 pictures of the film have 600 MB in 8 bits, the 24 that are read 2,400
