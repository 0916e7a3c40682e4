"""Videos: pictures in, sound and untouched pictures out. No torch here; the networks that watch lie beside."""

from woosh.video.pictures import (
    VIDEO_SUFFIXES,
    WATCHED_RATE,
    Video,
    View,
    open_video,
    pictures_at,
    read_frames,
)

__all__ = [
    "VIDEO_SUFFIXES",
    "Video",
    "View",
    "WATCHED_RATE",
    "open_video",
    "pictures_at",
    "read_frames",
]
