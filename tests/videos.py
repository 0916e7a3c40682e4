"""Video files whose pictures show their own number, in large black and white cells that survive compression."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from av.video.stream import VideoStream

BITS = 8


def numbered_picture(number: int, width: int, height: int) -> np.ndarray:
    """(H, W, 3): four columns of two cells, each one bit of the number, the lowest first, row by row."""
    bits = [255 * ((number >> bit) & 1) for bit in range(BITS)]
    rows = np.arange(height) * 2 // height
    columns = np.arange(width) * 4 // width
    lines = np.array(bits, dtype=np.uint8).reshape(2, 4)[:, columns]
    return np.repeat(lines[..., None], 3, axis=2)[rows]


def read_number(picture: np.ndarray) -> int:
    """The number that a picture (H, W, 3) shows."""
    height, width = picture.shape[:2]
    rows = ((np.arange(2) + 0.5) * height / 2).astype(int)
    columns = ((np.arange(4) + 0.5) * width / 4).astype(int)
    bits = (picture[rows][:, columns, 0] > 127).flatten()
    return int(sum(1 << bit for bit in range(BITS) if bits[bit]))


def write_video(
    path: Path,
    times: Sequence[Fraction],
    codec: str = "libx264",
    size: tuple[int, int] = (64, 48),
    unit: Fraction = Fraction(1, 90_000),
    sound: np.ndarray | None = None,
    pixels: str = "yuv420p",
) -> Path:
    """Write a picture at each time, in seconds; the sound (C, S), 48 kHz, begins at 0."""
    import av

    with av.open(str(path), "w") as target:
        gap = times[1] - times[0] if len(times) > 1 else Fraction(1, 30)
        stream = cast("VideoStream", target.add_stream(codec, rate=1 / gap))
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.codec_context.time_base = stream.time_base = unit
        stream.codec_context.gop_size = 12
        track = None
        if sound is not None:
            track = target.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48_000)
            track.codec_context.layout = "mono" if len(sound) == 1 else "stereo"
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(
                numbered_picture(number, *size), format="rgb24"
            ).reformat(format=pixels)
            frame.pts, frame.time_base = round(time / unit), unit
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
        if sound is not None and track is not None:
            frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout=track.layout.name)
            frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
            target.mux(track.encode(frame))
            target.mux(track.encode(None))
    return path


def steady_times(rate: Fraction, seconds: float, first: Fraction = Fraction(0)) -> list[Fraction]:
    """Times of pictures at a steady rate."""
    return [first + number / rate for number in range(round(seconds * rate))]


def turned(path: Path, quarter_turns: int) -> Path:
    """Ask players of an MP4 file to turn its pictures clockwise, in the matrix of its track's header."""
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd") + 4
    matrix = header + (52 if data[header] == 1 else 40)
    cosine, sine = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarter_turns % 4]
    one, fraction = 1 << 16, 1 << 30
    values = [cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, fraction]
    data[matrix : matrix + 36] = b"".join(v.to_bytes(4, "big", signed=True) for v in values)
    path.write_bytes(data)
    return path
