"""Sounds as they are written: samples, metadata and marks of every format are read back; what is wrong is refused."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import wavinfo

from tests.sounds import sine
from woosh import audio
from woosh.audio import chunks, coded, metadata, writing

RATE = 48_000
FORMATS = audio.FORMATS
RECORD = {
    "prompt": "a wooden door creaks",
    "seed": 7,
    "model": "woosh-tiny",
    "version": "0.8.0",
    "catid": "DOORWood",
    "category": "DOORS",
    "subcategory": "WOOD",
    "fx_name": "WoodenDoorCreaks",
    "creator_id": "JDOE",
    "source_id": "MYLIB",
}


def noise(seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    """White noise (1, S) between the limits."""
    numbers = np.random.default_rng(0).uniform(-amplitude, amplitude, (1, round(seconds * RATE)))
    return numbers.astype(np.float32)


@pytest.mark.parametrize("extension", ["wav", "flac"])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_files_keep_the_samples(tmp_path: Path, extension: str, channels: int) -> None:
    path = tmp_path / f"tone.{extension}"
    audio.write_audio(path, sine(channels=channels), RATE)
    assert np.abs(audio.read_audio(path, RATE, mono=False) - sine(channels=channels)).max() < 2**-22


def test_vorbis_file_keeps_length_and_level_and_takes_long_sounds(tmp_path: Path) -> None:
    sound = sine(seconds=30)
    audio.write_audio(tmp_path / "tone.ogg", sound, RATE)
    read = audio.read_audio(tmp_path / "tone.ogg", RATE)
    assert read.shape == sound.shape
    assert np.sqrt(np.mean((read - sound) ** 2)) < 0.01


@pytest.mark.parametrize("extension", FORMATS)
def test_metadata_returns_from_every_format(tmp_path: Path, extension: str) -> None:
    metadata = {
        "prompt": 'un chien aboie, 犬が吠える 🐕 "quoted"\\',
        "seed": 2**63 - 1,
        "model": "woosh-tiny",
        "version": "0.1.0",
    }
    path = tmp_path / f"dog.{extension}"
    audio.write_audio(path, sine(), RATE, metadata)
    assert audio.read_metadata(path) == metadata
    with soundfile.SoundFile(path) as file:
        assert file.title == metadata["prompt"]
        assert file.software.startswith("woosh 0.1.0")


def test_a_longer_prompt_is_refused_before_its_sound_is_made() -> None:
    """What is noted after the sound is made must fit as well, or the work would be lost."""
    room = audio.ASKED_BYTES - len(json.dumps({"prompt": ""}))
    assert audio.encode_metadata({"prompt": "x" * room}, audio.ASKED_BYTES)
    with pytest.raises(ValueError, match="2001 bytes.*shorter prompt"):
        audio.encode_metadata({"prompt": "x" * (room + 1)}, audio.ASKED_BYTES)


@pytest.mark.parametrize("extension", FORMATS)
def test_longest_metadata_returns_and_one_more_byte_is_refused(
    tmp_path: Path, extension: str
) -> None:
    path = tmp_path / f"long.{extension}"
    room = metadata.METADATA_BYTES - len(json.dumps({"prompt": ""}))
    audio.write_audio(path, sine(), RATE, {"prompt": "x" * room})
    assert audio.read_metadata(path) == {"prompt": "x" * room}
    path.unlink()
    with pytest.raises(ValueError, match="4001 bytes.*shorter prompt"):
        audio.write_audio(path, sine(), RATE, {"prompt": "x" * (room + 1)})
    assert list(tmp_path.iterdir()) == []


def test_metadata_of_other_files_is_refused(tmp_path: Path) -> None:
    for comment in ("", "by hand", "[1]"):
        with soundfile.SoundFile(tmp_path / "a.flac", "w", RATE, 1) as file:
            if comment:
                file.comment = comment
            file.write(sine()[0])
        with pytest.raises(ValueError, match="no metadata"):
            audio.read_metadata(tmp_path / "a.flac")
    with pytest.raises(FileNotFoundError, match="missing.wav"):
        audio.read_metadata(tmp_path / "missing.wav")


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (np.zeros((1, 0), np.float32), "not empty"),
        (np.zeros(100, np.float32), r"\(channels, samples\)"),
        (np.full((1, 100), np.nan, np.float32), "not finite"),
        (np.full((1, 100), 1.01, np.float32), "peaks at 1.010"),
    ],
)
def test_unwritable_audio_leaves_no_file(tmp_path: Path, sound: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        audio.write_audio(tmp_path / "bad.wav", sound, RATE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.aac", "a", "a.wav.txt", ".wav"])
def test_unknown_extension_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"\.wav, \.flac, \.ogg, \.opus, \.mp3"):
        audio.write_audio(tmp_path / name, sine(), RATE)


def test_failed_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "keep.wav"
    audio.write_audio(path, sine(), RATE)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not finite"):
        audio.write_audio(path, np.full((1, 9), np.inf, np.float32), RATE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_writing_into_a_missing_folder_or_over_a_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        audio.write_audio(tmp_path / "gone" / "a.wav", sine(), RATE)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(OSError, match="not a file"):
        audio.write_audio(tmp_path / "folder.wav", sine(), RATE)
    with pytest.raises(OSError, match="not a file"):
        Path(tmp_path / "null.wav").symlink_to(os.devnull)
        audio.write_audio(tmp_path / "null.wav", sine(), RATE)


def test_full_scale_is_not_clipped_or_wrapped(tmp_path: Path) -> None:
    sound = np.array([[1.0, -1.0, 0.0, 1.0]], np.float32)
    for extension in ("wav", "flac"):
        audio.write_audio(tmp_path / f"a.{extension}", sound, RATE)
        assert np.allclose(audio.read_audio(tmp_path / f"a.{extension}"), sound, atol=2**-22)


FULL_DISK = """
import resource, sys
import numpy as np
from woosh import audio
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 96_000)).astype(np.float32)
try:
    audio.write_audio(sys.argv[1], noise)
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("extension", FORMATS)
def test_a_file_that_does_not_fit_is_named_with_the_systems_reason(
    tmp_path: Path, extension: str
) -> None:
    """ "System error." tells neither which file nor what to do; and half a sound must not stay."""
    pytest.importorskip("resource")
    command = [sys.executable, "-c", FULL_DISK, f"long.{extension}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout == f"cannot write long.{extension}: File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_sounds_are_written_through_links_and_not_over_read_only_files(tmp_path: Path) -> None:
    """Sounds follow the rule of every file that is written by name."""
    real, link = tmp_path / "real.wav", tmp_path / "link.wav"
    audio.write_audio(real, sine())
    link.symlink_to(real)
    audio.write_audio(link, sine(0.25))
    assert link.is_symlink()
    assert audio.audio_seconds(real) == 0.25
    real.chmod(0o444)
    with pytest.raises(PermissionError, match="link.wav is read-only"):
        audio.write_audio(link, sine())


@pytest.mark.parametrize(
    ("name", "depth", "subtype", "error"),
    [
        ("a.wav", 16, "PCM_16", 2**-14),
        ("a.wav", 24, "PCM_24", 2**-22),
        ("a.wav", 32, "FLOAT", 0.0),
        ("a.flac", 16, "PCM_16", 2**-14),
        ("a.flac", 24, "PCM_24", 2**-22),
    ],
)
def test_bits_that_are_asked_for_are_written(
    tmp_path: Path, name: str, depth: int, subtype: str, error: float
) -> None:
    encoding = audio.Encoding(name[2:], depth)
    audio.write_audio(tmp_path / name, noise(), RATE, RECORD, encoding)
    with soundfile.SoundFile(tmp_path / name) as file:
        assert file.subtype == subtype
        assert np.abs(file.read(dtype="float32") - noise()[0]).max() <= error


def test_sixteen_bits_carry_what_lies_below_a_step_and_the_same_sound_gives_the_same_file(
    tmp_path: Path,
) -> None:
    """Without dither a tone of a third of a step would be silence; with it, it stands in noise of its own level."""
    quiet = sine(2.0, amplitude=0.3 * 2**-15)
    encoding = audio.Encoding("wav", 16)
    for name in ("a.wav", "b.wav"):
        audio.write_audio(tmp_path / name, quiet, RATE, RECORD, encoding)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    read = audio.read_audio(tmp_path / "a.wav")
    found = (read * quiet).sum() / (quiet * quiet).sum()
    assert found == pytest.approx(1, abs=0.1)
    rest = read - quiet
    assert np.sqrt((rest**2).mean()) == pytest.approx(0.5 * 2**-15, rel=0.05)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rate", audio.RATES)
def test_rates_that_are_asked_for_are_written(tmp_path: Path, name: str, rate: int) -> None:
    """The tone keeps its pitch and its length; a format that has no such rate says which it has."""
    try:
        encoding = audio.Encoding(name, sample_rate=rate)
    except ValueError as error:
        assert (name, rate) in {("opus", 44_100), ("opus", 96_000), ("mp3", 96_000)}
        assert "holds" in str(error)
        return
    path = tmp_path / f"a.{name}"
    audio.write_audio(path, sine(1.0), RATE, RECORD, encoding)
    with soundfile.SoundFile(path) as file:
        assert (file.samplerate, file.frames) == (rate, rate)
        spectrum = np.abs(np.fft.rfft(file.read()))
    assert spectrum.argmax() == 997


def test_a_rate_that_a_format_cannot_hold_becomes_one_that_it_can(tmp_path: Path) -> None:
    """A model of another rate than 48 kHz still writes every format."""
    for name in ("opus", "mp3"):
        audio.write_audio(tmp_path / f"a.{name}", sine(0.5)[:, :11_025], 22_050)
        with soundfile.SoundFile(tmp_path / f"a.{name}") as file:
            assert file.samplerate == 48_000


@pytest.mark.parametrize("name", ["ogg", "opus", "mp3"])
@pytest.mark.parametrize("kind", ["noise", "square"])
def test_lossy_files_stay_within_full_scale(tmp_path: Path, name: str, kind: str) -> None:
    """White noise at the ceiling comes back from each of these at more than 1.5 times its peak."""
    ceiling = audio.CEILINGS[name]
    sound = noise(1.0, ceiling)
    if kind == "square":
        sound = (ceiling * np.sign(np.sin(np.arange(RATE) * 0.0576)))[None].astype(np.float32)
    audio.write_audio(tmp_path / f"a.{name}", sound, RATE)
    read = audio.read_audio(tmp_path / f"a.{name}", RATE)
    assert 0.5 < np.abs(read).max() < 1
    assert read.shape == sound.shape


def test_a_wav_file_is_read_by_others(tmp_path: Path) -> None:
    """Libraries of sounds read `bext`, `iXML` and INFO, samplers `smpl`, editors `cue `."""
    path = tmp_path / "a.wav"
    marks = audio.Marks((100, 4 * RATE), (audio.Point(10, "hit"), audio.Point(RATE, "Knarz, Tür")))
    audio.write_audio(path, sine(4.0), RATE, RECORD, marks=marks)
    info = wavinfo.WavInfoReader(str(path))
    assert info.bext.version == 2
    assert info.bext.description == RECORD["prompt"]
    assert info.bext.originator == "woosh 0.8.0"
    assert info.bext.coding_history.startswith("A=PCM,F=48000,W=24,M=mono")
    assert info.bext.loudness_value == pytest.approx(audio.loudness(sine(4.0)), abs=0.01)
    assert info.bext.max_true_peak == pytest.approx(20 * np.log10(0.5), abs=0.02)
    assert info.bext.max_momentary_loudness == pytest.approx(info.bext.loudness_value, abs=0.1)
    assert info.bext.max_shortterm_loudness == pytest.approx(info.bext.loudness_value, abs=0.1)
    fields = {part.tag: part.text for part in info.ixml.parsed.find("ASWG")}
    assert fields["catId"] == "DOORWood"
    assert (fields["category"], fields["subCategory"]) == ("DOORS", "WOOD")
    assert (fields["creatorId"], fields["sourceId"]) == ("JDOE", "MYLIB")
    assert fields["fxName"] == "WoodenDoorCreaks"
    assert (fields["isGenerated"], fields["isLoop"]) == ("true", "true")
    assert float(fields["loudness"]) == pytest.approx(info.bext.loudness_value, abs=0.01)
    assert info.info.title == RECORD["prompt"]
    assert info.info.source == "generated by the model woosh-tiny"
    (loop,) = info.smpl.sample_loops
    assert (loop.start, loop.end) == (100, 4 * RATE - 1)
    with path.open("rb") as file:
        found = chunks.parse_points(
            chunks.read_chunk(file, b"cue ") or b"", chunks.read_chunk(file, b"LISTadtl")
        )
    assert tuple(found) == marks.points
    assert np.abs(audio.read_audio(path) - sine(4.0)).max() < 2**-22


@pytest.mark.parametrize("name", ["flac", "ogg", "opus"])
def test_tags_and_loops_of_other_formats_are_read_by_others(tmp_path: Path, name: str) -> None:
    import mutagen

    path = tmp_path / f"a.{name}"
    audio.write_audio(path, sine(1.0), RATE, RECORD, marks=audio.Marks((100, 40_000)))
    tags = mutagen.File(path)
    expected = {
        "title": RECORD["prompt"],
        "catid": "DOORWood",
        "fxname": "WoodenDoorCreaks",
        "artist": "JDOE",
        "isgenerated": "true",
        "loopstart": "100",
        "looplength": "39900",
    }
    assert {tag: tags[tag] for tag in expected} == {tag: [text] for tag, text in expected.items()}


def test_marks_move_with_the_rate_and_must_lie_in_the_sound(tmp_path: Path) -> None:
    marks = audio.Marks((4_800, 48_000), (audio.Point(24_000, "middle"),))
    encoding = audio.Encoding("wav", sample_rate=96_000)
    audio.write_audio(tmp_path / "a.wav", sine(1.0), RATE, {}, encoding, marks)
    with (tmp_path / "a.wav").open("rb") as file:
        assert chunks.parse_loop(chunks.read_chunk(file, b"smpl") or b"") == (9_600, 96_000)
    odd = audio.Marks((0, 44_999), (audio.Point(44_998, "last"),))
    for rate in (44_100, 96_000):
        encoding = audio.Encoding("wav", sample_rate=rate)
        audio.write_audio(tmp_path / "a.wav", sine(1.0)[:, :44_999], RATE, {}, encoding, odd)
        with (tmp_path / "a.wav").open("rb") as file:
            loop = chunks.parse_loop(chunks.read_chunk(file, b"smpl") or b"")
        assert loop == (0, soundfile.info(tmp_path / "a.wav").frames)
    with pytest.raises(ValueError, match="sample 48000, behind the sound's 24000"):
        audio.write_audio(tmp_path / "a.wav", sine(0.5), RATE, marks=marks)
    with pytest.raises(ValueError, match="begin before it ends"):
        audio.Marks((5, 5))


def test_a_plain_sound_says_nothing_of_itself(tmp_path: Path) -> None:
    """Recordings that are only converted get no claims, such as one that they are generated."""
    audio.write_audio(tmp_path / "a.wav", sine(), RATE)
    with (tmp_path / "a.wav").open("rb") as file:
        assert [chunk.name for chunk in chunks.find_chunks(file)] == [b"fmt ", b"LISTINFO", b"data"]


def test_files_beyond_four_gigabytes_are_rf64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is lowered here, since such a file is four gigabytes."""
    monkeypatch.setattr(chunks, "RIFF_LIMIT", 100_000)
    monkeypatch.setattr(writing, "HEADER_ROOM", 0)
    path = tmp_path / "a.wav"
    audio.write_audio(path, sine(1.0), RATE, RECORD)
    assert path.read_bytes()[:4] == b"RF64"
    assert soundfile.info(path).format == "RF64"
    assert np.abs(audio.read_audio(path) - sine(1.0)).max() < 2**-22
    assert audio.read_metadata(path) == RECORD
    assert wavinfo.WavInfoReader(str(path)).data.frame_count == RATE
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match="a.wav is cut: 300 bytes"):
        audio.read_audio(path)


@pytest.mark.parametrize("name", FORMATS)
def test_the_checksum_is_of_the_samples_and_not_of_the_tags(tmp_path: Path, name: str) -> None:
    """A file may be named and tagged anew; other samples, even one bit, are another sound."""
    path = tmp_path / f"a.{name}"
    audio.write_audio(path, noise(), RATE, RECORD)
    with path.open("rb") as file:
        assert coded.coded_checksum(file) == metadata.read_checksum(path)
    audio.write_audio(tmp_path / f"b.{name}", noise(), RATE, {**RECORD, "prompt": "x" * 1500})
    assert metadata.read_checksum(tmp_path / f"b.{name}") == metadata.read_checksum(path)
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    assert coded.coded_checksum(io.BytesIO(content)) != metadata.read_checksum(path)


def test_the_record_survives_operations() -> None:
    """What a sound was made from stays known however often it is edited."""
    once = audio.derived_record(RECORD, "loop", seed=8)
    twice = audio.derived_record(once, "extend", seconds=12.0)
    assert twice == RECORD | {"seed": 8, "seconds": 12.0, "operations": "loop; extend"}
    assert "operations" not in RECORD


def test_what_was_true_of_the_former_sound_alone_is_not_carried_on() -> None:
    """A louder, longer cousin must not say that it has the loudness and the length of its source."""
    before = {"prompt": "rain", "seconds": 5.0, "loudness": -23.0, "true_peak": -9.0, "steps": 25}
    after = audio.derived_record(before | {"operations": "loop"}, "vary", seed=7)
    assert after == {"prompt": "rain", "operations": "loop; vary", "seed": 7}
