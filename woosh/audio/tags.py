"""Tags of FLAC, Ogg and MP3 files, by mutagen: the samples before and behind them stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

# Words of a record and what Vorbis comments and ID3v2.4 call them.
_FRAMES = {"TITLE": "TIT2", "ARTIST": "TPE1", "ALBUM": "TALB", "GENRE": "TCON", "ENCODER": "TSSE"}


def write_tags(file: BinaryIO, file_format: str, texts: Mapping[str, str]) -> None:
    """Replace the tags of a file.

    Args:
        file: open for reading and writing.
        file_format: flac, ogg, opus or mp3.
        texts: by names of Vorbis comments; MP3 takes those that ID3 has no frame for as texts of the user.

    Raises:
        OSError: the tags cannot be written.
    """
    import mutagen

    file.seek(0)
    try:
        if file_format == "mp3":
            _write_id3(file, texts)
            return
        tagged = _open_comments(file, file_format)
        for name, text in texts.items():
            tagged[name] = text
        file.seek(0)
        tagged.save(file)
    except mutagen.MutagenError as error:
        cause = error.args[0] if error.args else None
        raise cause if isinstance(cause, OSError) else OSError(str(error)) from error


def _open_comments(file: BinaryIO, file_format: str) -> Any:
    if file_format == "flac":
        from mutagen.flac import FLAC

        return FLAC(file)
    if file_format == "opus":
        from mutagen.oggopus import OggOpus

        return OggOpus(file)
    from mutagen.oggvorbis import OggVorbis

    return OggVorbis(file)


def _write_id3(file: BinaryIO, texts: Mapping[str, str]) -> None:
    from mutagen import id3

    tags = id3.ID3()
    for name, text in texts.items():
        if name == "COMMENT":
            tags.add(id3.COMM(encoding=id3.Encoding.UTF8, lang="eng", desc="", text=text))
        elif name in _FRAMES:
            tags.add(id3.Frames[_FRAMES[name]](encoding=id3.Encoding.UTF8, text=text))
        else:
            tags.add(id3.TXXX(encoding=id3.Encoding.UTF8, desc=name, text=text))
    tags.save(file)
