"""Pictures of a video file at any rate and size, by their true time stamps.

Time 0 is the first picture. The picture of a moment is the last one that had begun by then, whatever the file's own
rate: none is invented, few files of variable rate drift. Pictures are read as they are needed, so that a long file
takes no more memory than a short one. decord reads where it is installed and knows the file, PyAV elsewhere; both
give equal pictures.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from woosh.outside_files import check_name
from woosh.video.patience import MOST_SECONDS, in_time, with_stamps

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

# Forms of files as FFmpeg names them. Others, such as playlists, scripts of pictures and descriptions of streams, would make
# it open what they name.
CONTAINERS = (
    *("mov", "mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "ogg"),
    *("flv", "asf", "mxf", "nut", "dv"),
)
WAITING_SECONDS = 30.0  # for a file that is opened, and for each of its parts
MOST_PIXELS = 8192 * 4320  # of a picture
MOST_PICTURES = 5_000_000  # of a file: 46 hours at 30 per second
WATCHED_RATE = 24.0  # pictures per second at which networks watch
ROUNDING = 1e-3  # seconds by which a container may round a time stamp
VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".m4v", ".avi"})
READERS = ("auto", "decord", "pyav")
DECORD_PICTURES = 250  # after which a new reader takes over
DECODING_THREADS = 2
FITS = ("squash", "crop")


@dataclass(frozen=True)
class Video:
    """What a file shows, and when.

    Attributes:
        path: of the file.
        times: when each picture begins (N,), in seconds since the first, rising.
        seconds: from the first picture's beginning to the last one's end.
        width: of the pictures as they are shown, in pixels.
        height: likewise.
        resolution: of the file's time stamps, in seconds.
        origin: time stamp of the first picture.
    """

    path: Path
    times: np.ndarray
    seconds: float
    width: int
    height: int
    resolution: float
    origin: int


@dataclass(frozen=True)
class View:
    """Which pictures of a video are wanted, and how large.

    Attributes:
        rate: pictures per second; a slower file's are repeated.
        size: height and width in pixels.
        start: seconds of the video at which the first picture is taken.
        seconds: how many; None: to the end.
        fit: "squash" scales both sides to `size`; "crop" scales the shorter one and takes the middle.

    Raises:
        ValueError: a rate or size that is not above 0, or another fit.
    """

    rate: float
    size: int
    start: float = 0.0
    seconds: float | None = None
    fit: str = "squash"

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise ValueError(f"fit is {self.fit!r}, of {FITS}")
        if not (math.isfinite(self.rate) and self.rate > 0) or self.size < 1:
            raise ValueError(f"rate {self.rate} and size {self.size} must be above 0")


class Reader(Protocol):
    """Decodes chosen pictures."""

    def __call__(self, video: Video, indices: Iterable[int]) -> Iterator[np.ndarray]:
        """Pictures (H, W, 3), 8 bits, of numbers that do not fall."""
        ...


def open_video(path: str | Path) -> Video:
    """Look through a file without decoding it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no video, none in it, a damaged one, or one beyond `MOST_PIXELS`, `MOST_PICTURES` or `MOST_SECONDS`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {str(path)!r}")
    check_name(path)
    with opened(path) as container:
        stream = picture_stream(container, path)
        check_size(stream, path)
        unit = float(stream.time_base)
        packets = in_time(with_stamps(container.demux(stream)), path)
        shown = {  # a packet of two fields or of a hidden picture may repeat a time
            packet.pts: packet.duration or 0
            for packet in islice(packets, MOST_PICTURES + 1)
            if packet.pts is not None and not packet.is_discard
        }
        if not shown:
            raise ValueError(f"{path} has a video stream without pictures")
        stamps = np.array(sorted(shown))
        rate = float(stream.average_rate or stream.guessed_rate or 24)
    times = (stamps - stamps[0]) * unit
    last = shown[int(stamps[-1])] * unit
    if last <= 0:
        last = float(np.median(np.diff(times))) if len(times) > 1 else 1 / rate
    width, height = shown_size(path)
    seconds = float(times[-1]) + last
    if len(shown) > MOST_PICTURES or not seconds <= MOST_SECONDS:
        raise ValueError(
            f"{path} has {len(shown):,} pictures over {seconds:g} s, and up to {MOST_PICTURES:,} over {MOST_SECONDS:g} s are "
            "read: cut it into parts"
        )
    return Video(path, times, seconds, width, height, unit, int(stamps[0]))


def check_size(stream: Any, path: Path) -> None:
    """Raise a ValueError if a stream's pictures are larger than `MOST_PIXELS`, as far as its header says."""
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"{path} has pictures of {width} x {height}, and up to {MOST_PIXELS:,} pixels are read: make it smaller"
        )


def shown_size(path: Path) -> tuple[int, int]:
    """Width and height of the pictures as they are shown, from the first that can be decoded."""
    with opened(path) as container:
        stream = picture_stream(container, path)
        check_size(stream, path)
        first = next(whole_pictures(container, stream, path), None)
        if first is None:
            raise ValueError(f"{path} has a video stream of which no picture can be decoded")
        upended = first.rotation % 180 != 0
        return (first.height, first.width) if upended else (first.width, first.height)


def read_frames(
    video: Video, view: View, window: int = 32, reader: str = "auto"
) -> Iterator[Tensor]:
    """Pictures at a steady rate, in windows (n, 3, size, size) of 8 bits, n at most `window`.

    Args:
        video: of `open_video`.
        view: which pictures, and how large.
        window: pictures at a time.
        reader: "decord", "pyav", or "auto".

    Raises:
        ValueError: an argument out of range, or a file that turns out damaged.
    """
    import torch

    if reader not in READERS or window < 1:
        raise ValueError(f"reader is {reader!r}, of {READERS}; window {window} must be above 0")
    indices = pictures_at(video, view.rate, view.start, view.seconds)
    chosen, repeats = np.unique(indices, return_counts=True)
    pictures = choose_reader(video, reader)(video, chosen.tolist())
    waiting: list[Tensor] = []
    for picture, count in zip(pictures, repeats, strict=True):
        waiting += [fitted(picture, view.size, view.fit)] * int(count)
        while len(waiting) >= window:
            yield torch.stack(waiting[:window])
            waiting = waiting[window:]
    if waiting:
        yield torch.stack(waiting)


def pictures_at(video: Video, rate: float, start: float, seconds: float | None) -> np.ndarray:
    """Numbers of the pictures at `start` + k / `rate` for all k within `seconds`, or to the end.

    Raises:
        ValueError: no time of the video.
    """
    left = video.seconds - start
    if not 0 <= start < video.seconds:
        raise ValueError(
            f"{video.path.name} lasts {video.seconds:.2f} s: it cannot be read from {start:g} s on"
        )
    wanted = left if seconds is None else seconds
    if not (math.isfinite(wanted) and wanted > 0):
        raise ValueError(f"seconds must be above 0, got {seconds}")
    if wanted > left + 1 / rate:
        raise ValueError(
            f"{video.path.name} lasts {video.seconds:.2f} s: from {start:g} s on there are no {wanted:g} s"
        )
    ticks = start + np.arange(max(1, round(wanted * rate))) / rate
    # A stamp may be rounded up by half a unit, and an exact tick must still find it.
    rounding = min(video.resolution / 2, ROUNDING) + 1e-9
    return np.searchsorted(video.times, ticks + rounding, side="right") - 1


def fitted(picture: np.ndarray, size: int, fit: str) -> Tensor:
    """A picture (H, W, 3) -> (3, size, size), both of 8 bits, bicubic."""
    import torch
    from torch.nn import functional

    height, width = picture.shape[:2]
    scale = size / min(height, width)
    shape = (size, size)
    if fit == "crop":
        shape = (max(size, round(height * scale)), max(size, round(width * scale)))
    whole = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    scaled = functional.interpolate(
        whole, shape, mode="bicubic", align_corners=False, antialias=True
    )[0]
    top, left = (shape[0] - size) // 2, (shape[1] - size) // 2
    cut = scaled[:, top : top + size, left : left + size]
    return cut.round().clamp(0, 255).to(torch.uint8)


def choose_reader(video: Video, reader: str) -> Reader:
    """The reader of that name; "auto" is decord if it is installed and sees the same pictures."""
    if reader == "pyav":
        return read_with_pyav
    problem = decord_problem(video)
    if reader == "auto":
        return read_with_decord if problem is None else read_with_pyav
    if problem is not None:
        raise ValueError(f"decord cannot read {video.path.name}: {problem}")
    return read_with_decord


def decord_problem(video: Video) -> str | None:
    """Why decord cannot read a video, or None."""
    try:
        import decord
    except ImportError:
        return "it is not installed"
    decord.logging.set_level(decord.logging.FATAL)
    try:
        opened_by_decord = decord.VideoReader(str(video.path), num_threads=1)
        times = opened_by_decord.get_frame_timestamp(range(len(opened_by_decord)))[:, 0]
        theirs = opened_by_decord[0].asnumpy()
    except (decord.DECORDError, IndexError) as error:
        return str(error).splitlines()[0]
    if len(times) != len(video.times) or np.abs(times - video.times).max() > ROUNDING:
        return "it sees other pictures in it"
    ours = next(read_with_pyav(video, [0]))
    if theirs.shape != ours.shape or np.abs(theirs.astype(int) - ours).mean() > 1:
        return "it sees other pictures in it"  # as when it does not turn them
    return None


def read_with_decord(video: Video, indices: Iterable[int]) -> Iterator[np.ndarray]:
    """See `Reader`. From a picture on that is damaged PyAV reads the rest, which has the one before in its place."""
    import decord

    wanted = list(indices)

    def pictures() -> Iterator[tuple[float, np.ndarray]]:
        reader: Any = None
        for number, index in enumerate(wanted):
            try:
                if number % DECORD_PICTURES == 0:  # a reader's memory grows with what it has read
                    reader = decord.VideoReader(str(video.path), num_threads=1)
                picture = reader[index].asnumpy()
            except decord.DECORDError:
                rest = wanted[number:]
                times = (float(video.times[index]) for index in rest)
                yield from zip(times, read_with_pyav(video, rest), strict=True)
                return
            yield float(video.times[index]), picture

    yield from in_time(pictures(), video.path)


def read_with_pyav(video: Video, indices: Iterable[int]) -> Iterator[np.ndarray]:
    """See `Reader`."""
    wanted = iter(indices)
    index = next(wanted, None)
    if index is None:
        return
    with opened(video.path) as container:
        stream = picture_stream(container, video.path)
        unit, latest = float(stream.time_base), None
        for frame in decoded(container, stream, video, float(video.times[index])):
            time = (frame.pts - video.origin) * unit
            while latest is not None and time > video.times[index] + unit / 2:
                yield upright(latest)
                index = next(wanted, None)
                if index is None:
                    return
            latest = frame
        while latest is not None and index is not None:
            yield upright(latest)
            index = next(wanted, None)
    if index is not None:
        raise ValueError(f"{video.path} ends before its picture {index}: the file is damaged")


def upright(frame: Any) -> np.ndarray:
    """A decoded picture (H, W, 3), turned as the file asks."""
    picture = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A PyAV container of one of `CONTAINERS`; whatever is wrong with the file while it is read becomes a ValueError.

    No other file is opened, whatever this one holds, and a colon in its name is a colon.
    """
    import av

    options = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}
    try:
        with av.open(
            f"file:{path.absolute()}",
            options=options,
            metadata_errors="replace",
            timeout=WAITING_SECONDS,
        ) as container:
            yield container
    except av.error.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(
            f"{path} is no video that can be read: {reason} (read are MP4, MOV, MKV, WebM, AVI, MPEG and the like)"
        ) from error


def picture_stream(container: Any, path: Path) -> Any:
    """The first video stream that is no cover of an album."""
    import av

    cover = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams:
        raise ValueError(f"{path} has no video stream")
    if streams[0].codec_context is None:
        raise ValueError(f"{path}: no decoder for its video stream")
    return streams[0]


def decoded(container: Any, stream: Any, video: Video, seconds: float) -> Iterator[Any]:
    """Decoded pictures of a file just opened, from the key frame on that a time needs; damaged ones are left out."""
    stream.thread_type = "AUTO"
    # Each thread holds a picture or more: by default as many as there are cores, of 100 MB each at 8K.
    stream.codec_context.thread_count = DECODING_THREADS
    # Some containers lose pictures when they are sent to their very beginning.
    if seconds > 0:
        container.seek(video.origin + int(seconds / video.resolution), stream=stream)
    for frame in whole_pictures(container, stream, video.path):
        if frame.pts is not None and frame.pts >= video.origin:
            yield frame


def whole_pictures(container: Any, stream: Any, path: Path) -> Iterator[Any]:
    """All pictures that can be decoded; how many cannot is told in the end."""
    import av

    damaged = 0

    def decoded_packets() -> Iterator[tuple[float | None, list[Any]]]:
        nonlocal damaged
        for stamp, packet in with_stamps(container.demux(stream)):
            try:
                yield stamp, packet.decode()
            except av.error.InvalidDataError:
                damaged += 1
                yield stamp, []

    try:
        for frames in in_time(decoded_packets(), path):
            yield from frames
    finally:
        if damaged:
            logger.warning("%s: pictures before stand for %d that are damaged", path, damaged)
