"""A soundtrack for a video file: the picture's packets are copied as they are, only the first sound is encoded anew.

Time 0 of the sound is the first picture, as in `woosh.video`. All streams are read and written side by side, so that
a long file takes no more memory than a short one.
"""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from woosh.audio import encode_metadata, resample
from woosh.outside_files import check_name
from woosh.video.companions import SEE_THROUGH, companions, is_see_through, shifted_chapters
from woosh.video.patience import in_time, with_stamps
from woosh.video.pictures import Video, opened, picture_stream
from woosh.whole_files import check_replaceable, replacing

# The first is taken if none is asked for.
SOUND_CODECS = {
    ".mp4": ("aac", "flac"),
    ".mov": ("aac",),
    ".mkv": ("aac", "flac", "opus"),
    ".webm": ("opus",),
}
PICTURE_CODECS = {
    ".mp4": ("h264", "hevc", "av1", "vp9", "mpeg4"),
    ".mov": ("h264", "hevc", "mpeg4", "prores", "mjpeg", "dnxhd", "qtrle"),
    ".webm": ("vp8", "vp9", "av1"),
}  # Matroska takes all
ENCODERS = {"aac": "aac", "flac": "flac", "opus": "libopus"}
BIT_RATE = 192_000  # per second, of AAC and Opus
RATE = 48_000  # Hz, at which every encoder works
BLOCK = 4_800  # samples
LATE_SECONDS = 0.1  # by which a sound may outlast the picture without being told: encoders fill up their last block
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what a disk without space says
CEILING = 0.9  # of the samples given to AAC and Opus, which overshoot them


def check_output(video: Video, output: Path, codec: str | None = None, mix: bool = False) -> str:
    """The codec of the sound in a file of that name, before anything is computed.

    Args:
        video: whose picture goes in.
        output: to be written.
        codec: "aac", "flac", "opus", or None for the container's usual one.
        mix: whether the video's own sound stays.

    Raises:
        ValueError: a container that cannot hold the picture or the sound, or no sound to mix with.
        OSError: something that is no file lies there, or a read-only file.
    """
    check_name(output)
    container = output.suffix.lower()
    if container not in SOUND_CODECS:
        raise ValueError(f"{output.name}: a video file must end in {', '.join(SOUND_CODECS)}")
    sounds = SOUND_CODECS[container]
    if codec is not None and codec not in sounds:
        fitting = [name for name, held in SOUND_CODECS.items() if codec in held]
        raise ValueError(
            f"{container} holds {' or '.join(sounds)}, not {codec}"
            + (f"; {codec} goes into {' or '.join(fitting)}" if fitting else "")
        )
    with opened(video.path) as source:
        picture = picture_stream(source, video.path).codec_context.codec.canonical_name
        if mix and not source.streams.audio:
            raise ValueError(f"{video.path.name} has no sound to mix with: leave mixing out")
    if picture not in PICTURE_CODECS.get(container, (picture,)):
        fitting = [name for name, held in PICTURE_CODECS.items() if picture in held]
        raise ValueError(
            f"{container} cannot hold the picture's {picture} as it is; name the output "
            f"{' or '.join([*fitting, '.mkv'])}"
        )
    check_replaceable(output)
    if output.exists() and output.samefile(video.path):
        raise ValueError(f"{output} is the video itself, which stays as it is: name another file")
    return codec or sounds[0]


def left_behind(video: Video, container: str, mix: bool) -> list[str]:
    """What a file holds that its copy with another sound does not, in words.

    Args:
        video: whose picture goes in.
        container: of the copy, such as ".mp4".
        mix: whether the video's own sound stays.
    """
    with opened(video.path) as source:
        picture = picture_stream(source, video.path)
        _, lost = companions(source, container)
        ends = [
            float(((sound.start_time or 0) + sound.duration) * sound.time_base)
            for sound in source.streams.audio[:1]
            if mix and sound.duration and sound.time_base
        ]
        begin = float(video.origin * picture.time_base)
        if any(end - begin > video.seconds + LATE_SECONDS for end in ends):
            lost.append("its sound after the last picture")
        if is_see_through(picture) and container not in SEE_THROUGH:
            lost.append("its transparency")
    return lost


@dataclass(frozen=True, eq=False)
class Soundtrack:
    """A sound and its place in a video.

    Attributes:
        audio: (C, S) in -1 to 1, mono or stereo.
        sample_rate: of the audio, in Hz.
        start: seconds after the first picture at which it begins; before and behind it there is silence.
        mix_decibels: its gain over the video's own sound, which stays as it is; None replaces that.

    Raises:
        ValueError: audio of another shape, or not finite.
    """

    audio: np.ndarray
    sample_rate: int = RATE
    start: float = 0.0
    mix_decibels: float | None = None

    def __post_init__(self) -> None:
        audio = self.audio
        if audio.ndim != 2 or len(audio) not in (1, 2) or not np.isfinite(audio).all():
            raise ValueError(f"audio must be finite, mono or stereo, (C, S), got {audio.shape}")


def write_soundtrack(
    video: Video,
    soundtrack: Soundtrack,
    output: str | Path,
    codec: str | None = None,
    metadata: Mapping[str, str | int | float] | None = None,
) -> None:
    """Write a copy of a video with another sound. The file appears once it is complete.

    Args:
        video: of `woosh.video.open_video`.
        soundtrack: its new sound.
        output: `.mp4`, `.mov`, `.mkv` or `.webm`.
        codec: see `check_output`.
        metadata: stored as JSON in the file's comment.

    Raises:
        ValueError: see `check_output`.
        OSError: the file cannot be written there.
    """
    output = Path(output)
    codec = check_output(video, output, codec, soundtrack.mix_decibels is not None)
    comment = encode_metadata(metadata or {})
    audio = resample(soundtrack.audio, soundtrack.sample_rate, RATE)
    count, begin = round(video.seconds * RATE), round(soundtrack.start * RATE)
    with replacing(output, output.suffix.lower()) as part:
        if soundtrack.mix_decibels is None:
            blocks = placed(audio, begin, count)
        else:
            gained = audio * 10 ** (soundtrack.mix_decibels / 20)
            # Twice through the video's sound, so that no more than a block of it is held.
            peak = max(float(np.abs(block).max()) for block in mixed(video, gained, begin, count))
            blocks = (block / max(1.0, peak) for block in mixed(video, gained, begin, count))
        _write(video, blocks, codec, part, comment)


def placed(audio: np.ndarray, begin: int, count: int) -> Iterator[np.ndarray]:
    """`count` samples in blocks (C, n): the audio from sample `begin` on, silence elsewhere."""
    for first in range(0, count, BLOCK):
        block = np.zeros((len(audio), min(BLOCK, count - first)), dtype=np.float32)
        low, high = max(begin, first), min(begin + audio.shape[1], first + block.shape[1])
        if low < high:
            block[:, low - first : high - first] = audio[:, low - begin : high - begin]
        yield block


def mixed(video: Video, audio: np.ndarray, begin: int, count: int) -> Iterator[np.ndarray]:
    """As `placed`, in stereo, on top of the video's own sound."""
    for own, block in zip(own_sound(video, count), placed(audio, begin, count), strict=True):
        yield own + block


def own_sound(video: Video, count: int) -> Iterator[np.ndarray]:
    """`count` samples of the video's first sound stream in stereo blocks (2, n), from the first picture on.

    Raises:
        ValueError: a video without sound, or a damaged one.
    """
    import av

    with opened(video.path) as source:
        if not source.streams.audio:
            raise ValueError(f"{video.path} has no sound")
        origin = video.origin * picture_stream(source, video.path).time_base
        sound = source.streams.audio[0]
        # FFmpeg would make one channel 3 dB weaker in each of two.
        layout = "mono" if sound.codec_context.layout.nb_channels == 1 else "stereo"
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=RATE)
        held, position = np.zeros((2, 0), dtype=np.float32), 0  # samples from `position` on
        frames = in_time(with_stamps(source.decode(sound)), video.path)
        timed = (frame for frame in frames if frame.pts is not None)
        for frame in chain(timed, [None]):  # in the end the resampler gives what it still holds
            for converted in resampler.resample(frame):
                # Its own stamp: what comes out of a resampler lies before the frame that went in.
                at = round(((converted.time or 0.0) - float(origin)) * RATE)
                block = np.broadcast_to(converted.to_ndarray(), (2, converted.samples))
                # A gap of more than a millisecond is silence; less is rounding.
                gap = at - (position + held.shape[1])
                if gap > RATE // 1000:
                    block = np.pad(block, ((0, 0), (gap, 0)))
                elif held.shape[1] == 0 and position == 0 and at < 0:
                    block = block[:, min(-at, block.shape[1]) :]
                held = np.concatenate([held, block], axis=1)
            while held.shape[1] >= BLOCK and position < count:
                size = min(BLOCK, count - position)
                yield held[:, :size]
                held, position = held[:, size:], position + size
            if position >= count:
                return
    while position < count:
        size = min(BLOCK, count - position)
        block = held[:, :size]
        yield np.pad(block, ((0, 0), (0, size - block.shape[1])))
        held, position = held[:, size:], position + size


def _write(
    video: Video, blocks: Iterator[np.ndarray], codec: str, part: Path, comment: str
) -> None:
    import av

    with opened(video.path) as source:
        stream = picture_stream(source, video.path)
        try:
            with av.open(str(part), "w") as target:
                target.metadata.update({**source.metadata, "comment": comment})
                target.set_chapters(shifted_chapters(source, video.origin * stream.time_base))
                copies = {stream.index: target.add_stream_from_template(stream)}
                if is_see_through(stream):
                    # By this form of pixels Matroska is told of the second picture.
                    copies[stream.index].codec_context.pix_fmt = "yuva420p"
                sound = target.add_stream(ENCODERS[codec], rate=RATE)
                first = next(blocks)
                sound.codec_context.layout = "mono" if len(first) == 1 else "stereo"
                if codec != "flac":
                    sound.codec_context.bit_rate = BIT_RATE
                others, _ = companions(source, part.suffix)
                for other in others:
                    copies[other.index] = target.add_stream_from_template(other)
                    copies[other.index].metadata.update(_named(other))
                parts = in_time(with_stamps(source.demux(stream, *others)), video.path)
                packets = with_decoding_times(parts)
                timed = shifted(packets, video, stream)
                _interleave(timed, copies, chain([first], blocks), sound, target)
        except av.error.FFmpegError as error:
            if error.errno in FULL:  # no fault of the picture
                raise OSError(error.errno, error.strerror) from error
            raise OSError(
                f"cannot copy the picture of {video.path.name} into {part.suffix}: {error.strerror or error}"
            ) from error


def _named(stream: Any) -> dict[str, str]:
    """What a file says of a stream for its listeners."""
    return {
        name: stream.metadata[name] for name in ("language", "title") if name in stream.metadata
    }


def _interleave(
    packets: Iterator[Any],
    copies: Mapping[int, Any],
    blocks: Iterator[np.ndarray],
    sound: Any,
    target: Any,
) -> None:
    """Pictures and sound in the order of time, so that neither waits in memory for the other.

    Args:
        packets: in the order of time.
        copies: where those of each stream go, by its number in the source.
        blocks: (C, n) of the new sound.
        sound: its stream.
        target: the container.
    """
    block, samples = next(blocks, None), 0
    for packet in packets:
        while block is not None and samples <= float(packet.dts * packet.time_base) * RATE:
            samples += _encode(target, sound, block, samples)
            block = next(blocks, None)
        packet.stream = copies[packet.stream.index]
        target.mux(packet)
    while block is not None:
        samples += _encode(target, sound, block, samples)
        block = next(blocks, None)
    target.mux(sound.encode(None))


def shifted(packets: Iterator[Any], video: Video, picture: Any) -> Iterator[Any]:
    """Packets whose times count from the first picture; of other streams than the picture's those before it are left out.

    Raises:
        ValueError: a picture without a time.
    """
    begin = video.origin * picture.time_base
    for packet in packets:
        if packet.pts is None or packet.dts is None:
            if packet.stream.index != picture.index:
                continue
            raise ValueError(
                f"{video.path} has a picture without a time: write it anew with another program"
            )
        origin = round(begin / packet.time_base)
        packet.pts, packet.dts = packet.pts - origin, packet.dts - origin
        if packet.stream.index == picture.index or packet.dts >= 0:
            yield packet


def with_decoding_times(packets: Iterator[Any]) -> Iterator[Any]:
    """Packets without the marks of the ends; those at a stream's beginning whose decoding time is missing get one.

    Matroska stores none, and FFmpeg guesses them only once it has seen as many packets as the codec reorders.
    """
    waiting: dict[int, list[Any]] = defaultdict(list)
    for packet in packets:
        if packet.size == 0:
            continue
        held = waiting[packet.stream.index]
        held.append(packet)
        if packet.dts is None:
            continue
        for later, earlier in zip(held[:0:-1], held[-2::-1], strict=True):
            earlier.dts = later.dts - max(1, earlier.duration or 0)
        yield from held
        held.clear()
    for packet in chain.from_iterable(waiting.values()):  # none had one: the codec does not reorder
        packet.dts = packet.pts
        yield packet


def _encode(target: Any, sound: Any, block: np.ndarray, at: int) -> int:
    """Encode a block (C, n) that begins at a sample, and write it: n."""
    import av

    layout = sound.codec_context.layout
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
    target.mux(sound.encode(frame))
    return block.shape[1]
