"""What sound libraries read in a WAV file: the chunks `bext` (EBU Tech 3285, version 2) and `iXML` with Sony's ASWG fields.

The fields of ASWG-G006, version 1.1, have names and an order by its schema. Neither chunk holds a date: the same request
gives the same bytes.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from typing import Any

from woosh.audio.measures import Measures
from woosh.audio.metadata import Record

UNMEASURED = 0x7FFF  # of a level in `bext`
BEXT = struct.Struct("<256s32s32s10s8sIIH64s5h180s")  # 602 bytes; the history of coding follows
LONGEST_FIELD = 4_000  # characters of a field of iXML that is shown
CHANNELS = {1: "Mono", 2: "Stereo"}  # names of the schema


def bext_chunk(record: Record, measures: Measures, history: str) -> tuple[bytes, bytes]:
    """The chunk `bext` of a sound.

    Args:
        record: of the sound; prompt, version and creator are told, in ASCII.
        measures: of the sound as written.
        history: how it was coded, as EBU R 98 writes it.
    """
    levels = (
        measures.integrated,
        measures.spread,
        measures.true_peak,
        measures.momentary,
        measures.short_term,
    )
    reference = hashlib.sha256(repr(sorted(record.items())).encode()).hexdigest()
    fixed = BEXT.pack(
        _ascii(str(record.get("prompt", "")), 256),
        _ascii(f"woosh {record.get('version', '')}".strip(), 32),
        _ascii(reference, 32),
        b"",  # date
        b"",  # time
        0,  # samples since midnight, in two halves
        0,
        2,
        b"",  # no UMID
        *(_hundredths(level) for level in levels),
        b"",
    )
    return b"bext", _even(fixed + _ascii(history, 1_000), b"\0")


def coding_history(sample_rate: int, depth: int, channels: int) -> str:
    """One line of EBU R 98 for linear samples, as a text that ends as the standard has it."""
    mode = CHANNELS.get(channels, f"{channels} channels").lower()
    return f"A=PCM,F={sample_rate},W={depth},M={mode},T=woosh\r\n"


def _ascii(text: str, size: int) -> bytes:
    """A text of at most `size` bytes; letters outside of ASCII become question marks, as the standard knows no others."""
    return text.encode("ascii", errors="replace")[:size]


def _even(content: bytes, filler: bytes) -> bytes:
    """A chunk's content at an even length: libsndfile loses its way in RF64 files behind an odd one."""
    return content + filler * (len(content) % 2)


def _hundredths(level: float | None) -> int:
    if level is None or not math.isfinite(level) or not -99.99 <= level <= 99.99:
        return UNMEASURED
    return round(100 * level)


def parse_bext(content: bytes) -> dict[str, Any]:
    """Texts and levels of a chunk `bext`, by the words of `Measures`; what is empty or unmeasured is left out.

    Raises:
        ValueError: the chunk is too short.
    """
    if len(content) < BEXT.size:
        raise ValueError("chunk 'bext' is too short")
    values = BEXT.unpack_from(content)
    texts = dict(
        zip(("description", "originator", "reference", "date", "time"), values, strict=False)
    )
    found: dict[str, Any] = {
        name: text.split(b"\0")[0].decode("ascii", errors="replace") for name, text in texts.items()
    }
    if values[7] >= 2:
        names = ("integrated", "spread", "true_peak", "momentary", "short_term")
        levels = zip(names, values[9:14], strict=True)
        found |= {name: level / 100 for name, level in levels if level != UNMEASURED}
    return {name: value for name, value in found.items() if value != ""}


def aswg_fields(record: Record, measures: Measures, channels: int, loop: bool) -> dict[str, str]:
    """The fields of ASWG-G006 that a sound has, in the order of its schema.

    Args:
        record: of the sound; see `woosh.audio.metadata` for its words.
        measures: of the sound as written.
        channels: of the file.
        loop: whether it repeats without a seam.
    """
    told = {name: str(value) for name, value in record.items()}
    fields = {
        "contentType": "sfx",
        "originator": told.get("creator_id"),
        "notes": told.get("prompt"),
        "isGenerated": "true" if "model" in told else None,
        "channelConfig": CHANNELS.get(channels),
        "isDesigned": "true" if "model" in told else None,
        "category": told.get("category"),
        "subCategory": told.get("subcategory"),
        "catId": told.get("catid"),
        "fxName": told.get("fx_name"),
        "creatorId": told.get("creator_id"),
        "sourceId": told.get("source_id"),
        "loudness": _decimal(measures.integrated),
        "loudnessRange": _decimal(measures.spread),
        "maxPeak": _decimal(measures.peak),
        "isLoop": "true" if loop else "false",
    }
    return {name: value for name, value in fields.items() if value}


def _decimal(level: float | None) -> str | None:
    return None if level is None else f"{level:.2f}"


def ixml_chunk(fields: Mapping[str, str]) -> tuple[bytes, bytes]:
    """The chunk `iXML` with fields of ASWG-G006."""
    from xml.etree import ElementTree

    root = ElementTree.Element("BWFXML")
    ElementTree.SubElement(root, "IXML_VERSION").text = "3.01"
    if "notes" in fields:
        ElementTree.SubElement(root, "NOTE").text = _xml_text(fields["notes"])
    group = ElementTree.SubElement(root, "ASWG")
    for name, value in fields.items():
        ElementTree.SubElement(group, name).text = _xml_text(value)
    ElementTree.SubElement(group, "schemaVersion").text = "1.1"
    text = ElementTree.tostring(root, encoding="unicode")
    content = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'
    return b"iXML", _even(content.encode(), b"\n")


def _xml_text(text: str) -> str:
    """A text as XML can hold it: control characters and half surrogates become question marks."""
    return "".join(
        sign
        if sign in "\t\n\r"
        or " " <= sign < "\ud800"
        or sign >= "\ue000"
        and sign not in "\ufffe\uffff"
        else "?"
        for sign in text
    )


def parse_ixml(content: bytes) -> dict[str, str]:
    """The fields of the group `ASWG` in a chunk `iXML`; empty if it has none.

    Raises:
        ValueError: it is no XML, or declares entities or a document type.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(content.rstrip(b"\0 \r\n"), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise ValueError(f"chunk 'iXML' is no plain XML ({error})") from error
    group = root.find("ASWG")
    found = {} if group is None else {part.tag: (part.text or "").strip() for part in group}
    return {name: text[:LONGEST_FIELD] for name, text in found.items() if text}
