"""File names made from prompts."""

import re
import unicodedata

RESERVED_STEMS = {"con", "prn", "aux", "nul"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in range(10)
}


def file_stem(text: str, limit: int = 60) -> str:
    """Turn a prompt into a file name without extension that every system accepts.

    Letters and digits of any script stay, in lower case; everything between them becomes a single
    hyphen, so no separator, leading dot or shell character survives. The result has at most
    `limit` bytes in UTF-8, is never empty and never one of the device names of Windows.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
    kept = "".join(
        character if unicodedata.category(character)[0] in "LNM" else "-" for character in folded
    )
    words = re.sub(r"-+", "-", kept).strip("-")
    stem = words.encode("utf-8")[:limit].decode("utf-8", errors="ignore").strip("-")
    if not stem:
        return "sound"
    return f"{stem}-sound" if stem in RESERVED_STEMS else stem
