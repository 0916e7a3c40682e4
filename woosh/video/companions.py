"""What a video file holds beside its picture and its first sound, and how much of it another file takes as it is."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

# What the containers take without changing it, by the names of FFmpeg's codecs.
SOUNDS = {
    ".mp4": ("aac", "mp3", "ac3", "eac3", "flac", "opus", "alac"),
    ".mov": ("aac", "mp3", "ac3", "alac", "pcm_s16le", "pcm_s24le"),
    ".webm": ("opus", "vorbis"),
}  # Matroska takes all
SUBTITLES = {
    ".mp4": ("mov_text",),
    ".mov": ("mov_text",),
    ".mkv": ("subrip", "ass", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle"),
    ".webm": ("webvtt",),
}
UNKNOWN = "an unknown codec"
SEE_THROUGH = (
    ".mkv",
    ".webm",
)  # keep the second picture of VP8 and VP9 that says what is transparent


def companions(source: Any, container: str) -> tuple[list[Any], list[str]]:
    """The streams of an opened file that go into a container as they are, and in words those that do not.

    Args:
        source: of `woosh.video.pictures.opened`.
        container: ".mp4", ".mov", ".mkv" or ".webm".
    """
    sounds, subtitles = source.streams.audio[1:], source.streams.subtitles
    kept_sounds = [
        s
        for s in sounds
        if codec_of(s) != UNKNOWN and codec_of(s) in SOUNDS.get(container, (codec_of(s),))
    ]
    kept_subtitles = [s for s in subtitles if codec_of(s) in SUBTITLES[container]]
    lost = []
    for kind, found, kept in (
        ("other soundtracks", sounds, kept_sounds),
        ("subtitles", subtitles, kept_subtitles),
    ):
        if len(kept) < len(found):
            names = {codec_of(stream) for stream in found if stream not in kept}
            lost.append(f"its {kind} in {', '.join(sorted(names))}")
    if source.streams.attachments:
        lost.append("its attached files")
    return [*kept_sounds, *kept_subtitles], lost


def codec_of(stream: Any) -> str:
    """The name of a stream's codec, or `UNKNOWN`."""
    context = stream.codec_context
    return UNKNOWN if context is None else context.codec.canonical_name


def is_see_through(picture: Any) -> bool:
    """Whether a picture stream has a second picture that says what is transparent."""
    return picture.metadata.get("alpha_mode") == "1"


def shifted_chapters(source: Any, seconds: Fraction) -> list[Any]:
    """The chapters of an opened file, counted from a moment; what was over by then is left out."""
    chapters = []
    for chapter in source.chapters():
        origin = round(seconds / chapter["time_base"])
        start, end = max(0, chapter["start"] - origin), chapter["end"] - origin
        if start < end:
            chapters.append(chapter | {"start": start, "end": end})
    return chapters
