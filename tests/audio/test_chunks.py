"""Chunks of WAV files: what is built is found again, and files that lie are refused or read within bounds."""

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.sounds import sine
from woosh.audio import broadcast, chunks
from woosh.audio.chunks import Point
from woosh.audio.measures import Measures, measure

SILENT = Measures(*[None] * 6)
# What a tag of a file can hold: a zero ends it, and half of a surrogate pair is no text.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
POINTS = st.builds(Point, st.integers(0, 2**32 - 1), TEXTS)
NAMES = st.text("abcdefgh", min_size=4, max_size=4).map(str.encode)


def wave(samples: int = 1000) -> io.BytesIO:
    """A plain WAV file."""
    file = io.BytesIO()
    numbers = np.random.default_rng(0).integers(-(2**15), 2**15, samples, dtype=np.int16)
    soundfile.write(file, numbers, 48_000, "PCM_16", format="WAV")
    return file


def contents(file: io.BytesIO) -> dict[bytes, bytes]:
    """Chunks by name."""
    found = {}
    for chunk in chunks.find_chunks(file):
        file.seek(chunk.start)
        found[chunk.name] = file.read(chunk.size)
    return found


@given(st.lists(st.tuples(NAMES, st.binary(min_size=1)), unique_by=lambda pair: pair[0]))
def test_chunks_are_found_again_around_the_same_samples(added: list[tuple[bytes, bytes]]) -> None:
    """Also of odd lengths, in a file that other programs read; written twice, they are replaced."""
    source, once, twice = wave(), io.BytesIO(), io.BytesIO()
    chunks.rewrite(source, once, [(name, b"old" + content) for name, content in added])
    chunks.rewrite(once, twice, added)
    found = contents(twice)
    assert {name: found[name] for name, _ in added} == dict(added)
    assert len(found) == len(added) + 2
    assert found[b"data"] == contents(source)[b"data"]
    assert int.from_bytes(twice.getvalue()[4:8], "little") + 8 == len(twice.getvalue())
    twice.seek(0)
    source.seek(0)
    assert np.array_equal(soundfile.read(twice)[0], soundfile.read(source)[0])


def test_chunks_that_are_emptied_go_and_others_stay() -> None:
    source, once, twice = wave(), io.BytesIO(), io.BytesIO()
    chunks.rewrite(source, once, [(b"keep", b"1"), (b"gone", b"2")])
    chunks.rewrite(once, twice, [(b"gone", b"")])
    assert set(contents(twice)) == {b"fmt ", b"data", b"keep"}


@given(st.dictionaries(st.sampled_from(["INAM", "ICMT", "IART", "ISFT"]), TEXTS))
def test_info_returns(texts: dict[str, str]) -> None:
    assert chunks.parse_info(chunks.info_chunk(texts)[1]) == texts


@given(st.integers(0, 2**31), st.integers(1, 2**31), st.integers(1_000, 768_000))
def test_loops_return(first: int, length: int, rate: int) -> None:
    content = chunks.loop_chunk((first, first + length), rate)[1]
    assert chunks.parse_loop(content) == (first, first + length)


@given(st.lists(POINTS, min_size=1, max_size=20))
def test_moments_and_their_names_return(points: list[Point]) -> None:
    (_, cues), (_, labels) = chunks.point_chunks(points)
    assert chunks.parse_points(cues, labels) == points


LEVELS = st.none() | st.floats(-99.99, 99.99)


@given(LEVELS, LEVELS, LEVELS, st.text(), st.text())
def test_levels_and_texts_of_bext_return(
    integrated: float | None, spread: float | None, peak: float | None, prompt: str, version: str
) -> None:
    """To a hundredth; texts in ASCII, cut to their fields."""
    measures = Measures(integrated, spread, None, peak, None, None)
    record = {"prompt": prompt, "version": version}
    name, content = broadcast.bext_chunk(record, measures, "A=PCM\r\n")
    assert name == b"bext"
    assert content[602:] == b"A=PCM\r\n\0"
    found = broadcast.parse_bext(content)
    for word in ("integrated", "spread", "true_peak"):
        told = getattr(measures, word)
        assert found.get(word) == (None if told is None else pytest.approx(told, abs=0.00501))
    ascii_prompt = prompt.encode("ascii", "replace")[:256].split(b"\0")[0].decode()
    assert found.get("description", "") == ascii_prompt


@given(st.text(), st.text())
def test_fields_of_ixml_return(prompt: str, creator: str) -> None:
    """Whatever a prompt holds, the file is XML; what XML cannot hold becomes a question mark."""
    record = {"prompt": prompt, "creator_id": creator, "model": "m"}
    fields = broadcast.aswg_fields(record, SILENT, 1, loop=False)
    found = broadcast.parse_ixml(broadcast.ixml_chunk(fields)[1])
    assert found.pop("schemaVersion") == "1.1"
    assert found["isGenerated"] == "true"
    assert found["isLoop"] == "false"
    if prompt.strip().isalnum():
        assert found["notes"] == prompt.strip()


def test_fields_stand_in_the_order_of_the_schema() -> None:
    """ASWG's schema is a sequence: a file in another order is not valid by it."""
    known = [
        "contentType",
        "originator",
        "notes",
        "isGenerated",
        "channelConfig",
        "isDesigned",
        "category",
        "subCategory",
        "catId",
        "fxName",
        "creatorId",
        "sourceId",
        "loudness",
        "loudnessRange",
        "maxPeak",
        "isLoop",
    ]
    record = dict.fromkeys(
        (
            "prompt",
            "model",
            "catid",
            "category",
            "subcategory",
            "fx_name",
            "creator_id",
            "source_id",
        ),
        "x",
    )
    sound = sine(4.0)
    assert list(broadcast.aswg_fields(record, measure(sound, 48_000), 1, loop=True)) == known


def test_levels_of_a_known_tone() -> None:
    """BS.1770: a tone of full scale at 997 Hz reads -3.01 LUFS in every window, and has no range."""
    found = measure(sine(6.0, 1.0), 48_000)
    for level in (found.integrated, found.momentary, found.short_term):
        assert level == pytest.approx(-3.01, abs=0.1)
    assert found.spread == pytest.approx(0, abs=3.1)
    assert found.true_peak == pytest.approx(0, abs=0.05)
    short = measure(sine(0.1, 1.0), 48_000)
    assert short.short_term is None
    assert short.momentary == pytest.approx(-3.01 - 6.02, abs=0.2)  # a quarter of 0.4 s
    assert measure(np.zeros((1, 480), np.float32), 48_000) == SILENT


def test_the_true_peak_lies_between_the_samples() -> None:
    """A tone at a quarter of the rate, an eighth of a turn off, has samples of .707 of its peak."""
    turns = np.arange(48_000) / 4 + 1 / 8
    sound = np.sin(2 * np.pi * turns)[None].astype(np.float32)
    assert np.abs(sound).max() == pytest.approx(0.707, abs=0.001)
    assert measure(sound, 48_000).true_peak == pytest.approx(0, abs=0.15)


def header(*parts: tuple[bytes, int, bytes], form: bytes = b"RIFF") -> io.BytesIO:
    """A WAV file of chunks: name, told size, content."""
    body = b"".join(struct.pack("<4sI", name, size) + content for name, size, content in parts)
    return io.BytesIO(struct.pack("<4sI4s", form, len(body) + 4, b"WAVE") + body)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (io.BytesIO(b"RIFX" + bytes(40)), "not a WAV file"),
        (io.BytesIO(b""), "not a WAV file"),
        (header(*[(b"junk", 0, b"")] * 1001), "more than 1000 chunks"),
        (header((b"iXML", 2**31, b"x")), "more than 1048576 bytes"),
        (header((b"iXML", 100, b"x")), "is cut"),
    ],
)
def test_files_that_lie_are_refused(file: io.BytesIO, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chunks.read_chunk(file, b"iXML")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([(b"data", 4, bytes(4))], "needs a format and samples"),
        ([(b"fmt ", 16, bytes(16))], "needs a format and samples"),
        ([(b"fmt ", 16, bytes(16)), (b"data", 2**31, bytes(4))], "is cut"),
    ],
)
def test_only_whole_files_are_rewritten(
    parts: list[tuple[bytes, int, bytes]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        chunks.rewrite(header(*parts), io.BytesIO(), [])


@given(st.binary(max_size=200))
def test_readers_take_any_bytes(content: bytes) -> None:
    """Files of others: each reader answers or refuses, and never fails in another way."""
    chunks.parse_info(content)
    readers = [
        chunks.parse_loop,
        lambda bytes_: chunks.parse_points(bytes_, content),
        broadcast.parse_bext,
        broadcast.parse_ixml,
        lambda bytes_: chunks.find_chunks(io.BytesIO(b"RIFF0000WAVE" + bytes_)),
    ]
    for reader in readers:
        try:
            answer = reader(content)
        except ValueError as error:
            assert str(error)
        else:
            assert answer is None or isinstance(answer, dict | list | tuple)


BOMB = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<BWFXML><ASWG><notes>&b;</notes></ASWG></BWFXML>"""


@pytest.mark.parametrize(
    "content",
    [
        BOMB,
        BOMB.decode().encode("utf-16"),
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><BWFXML/>',
        b"<BWFXML>",
        b"",
        b'<?xml version="1.0" encoding="no-such"?><BWFXML/>',
    ],
)
def test_ixml_with_entities_or_without_an_end_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="no plain XML"):
        broadcast.parse_ixml(content)


def test_ixml_that_is_nested_deeply_is_read() -> None:
    """Expat needs no stack for it, and neither does what looks for the group."""
    depth = chunks.MOST_CHUNK_BYTES // 8
    assert broadcast.parse_ixml(b"<a>" * depth + b"</a>" * depth) == {}
