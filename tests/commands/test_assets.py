"""`woosh generate` for a library: formats, names after UCS, signatures; and what is refused before the work."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import wavinfo

from tests.toys import save_pipeline
from woosh import audio, cli
from woosh.studio import provenance


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("models") / "toy", max_frames=100)


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without the settings of whoever runs the tests."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setattr("sys.platform", "linux")


def generate(model: Path, *arguments: object) -> int:
    options = ("--model", model, "--device", "cpu", "--seconds", 0.2, "--quiet", "--seed", 1)
    return cli.main([str(argument) for argument in ("generate", *arguments, *options)])


def names() -> list[str]:
    return sorted(path.name for path in Path().rglob("*.*"))


def test_takes_are_named_after_ucs_and_carry_the_same_words(model: Path) -> None:
    options = ("-n", 2, "--ucs", "--creator", "JDOE", "--source", "MYLIB")
    assert generate(model, "a wooden door creaks", *options, "--category", "doorwood") == 0
    assert names() == [
        "DOORWood_WoodenDoorCreaks01_JDOE_MYLIB.wav",
        "DOORWood_WoodenDoorCreaks02_JDOE_MYLIB.wav",
    ]
    record = audio.read_metadata(names()[1])
    assert record["catid"] == "DOORWood"
    assert (record["seed"], record["steps"], record["seconds"]) == (2, 3, 0.2)
    assert record["weights_licence"] == "cc-by-4.0"
    fields = wavinfo.WavInfoReader(names()[0]).ixml.parsed.find("ASWG")
    assert fields.findtext("creatorId") == "JDOE"
    assert fields.findtext("isGenerated") == "true"


def test_a_second_run_takes_the_next_numbers_and_resume_finds_its_own(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("-n", 2, "--ucs", "--creator", "JDOE", "--category", "RAINMetl")
    for _ in range(2):
        assert generate(model, "rain", *options) == 0
    assert [name[9:15] for name in names()] == ["Rain01", "Rain02", "Rain03", "Rain04"]
    capsys.readouterr()
    assert generate(model, "rain", *options, "--resume") == 0
    assert capsys.readouterr().out.count("already made") == 2
    assert len(names()) == 4


def test_creator_and_source_come_from_the_settings_and_the_category_from_the_words(
    model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "settings" / "woosh"
    folder.mkdir(parents=True)
    (folder / "studio.toml").write_text('[names]\ncreator = "ABC"\nsource = "LIB1"\n')
    assert generate(model, "a dog barking", "--ucs") == 0
    assert generate(model, "xyzzy", "--ucs", "--source", "LIB2") == 0
    dog, other = sorted(names(), key=lambda name: "Xyzzy" in name)
    assert dog == "ANMLDog_DogBarking_ABC_LIB1.wav"
    assert other.endswith("_Xyzzy_ABC_LIB2.wav")


@pytest.mark.parametrize(
    ("options", "subtype", "rate"),
    [
        (("--depth", 16, "--rate", 44_100), "PCM_16", 44_100),
        (("--depth", 32, "--rate", 96_000), "FLOAT", 96_000),
        (("--format", "flac", "--depth", 16), "PCM_16", 48_000),
        (("--format", "opus"), "OPUS", 48_000),
        (("--format", "mp3", "--rate", 44_100), "MPEG_LAYER_III", 44_100),
    ],
)
def test_files_are_stored_as_asked(
    model: Path, options: tuple[object, ...], subtype: str, rate: int
) -> None:
    assert generate(model, "rain", *options) == 0
    (name,) = names()
    with soundfile.SoundFile(name) as file:
        assert (file.subtype, file.samplerate) == (subtype, rate)
        assert file.frames == rate // 5
        assert np.abs(file.read()).max() < 1.001


def test_signed_files_hold_and_a_self_made_certificate_is_told(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(model, "rain", "-o", "a.wav", "--sign") == 0
    assert "self-made certificate, which nobody vouches for" in capsys.readouterr().err
    statement = provenance.read_statement(Path("a.wav"))
    assert statement is not None
    assert statement.intact
    folder = tmp_path / "settings" / "woosh"
    own = provenance.self_made_credentials(folder)
    (folder / "studio.toml").write_text(
        '[credentials]\ncertificate = "certificate.pem"\nkey = "key.pem"\n'
    )
    assert generate(model, "rain", "-o", "b.flac", "--sign") == 0
    assert capsys.readouterr().err == ""
    assert own.chain


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--depth", 8), "--depth: invalid choice: 8"),
        (("--depth", "many"), "--depth: invalid int value: 'many'"),
        (("--rate", 22_050), "--rate: invalid choice: 22050"),
        (("--format", "aac"), "--format: invalid choice: 'aac'"),
        (("--format", "flac", "--depth", 32), "flac holds 16 or 24 bits: leave out depth 32"),
        (("--format", "ogg", "--depth", 24), "ogg is lossy and has no bits of a sample"),
        (("-o", "a.opus", "--rate", 44_100), "opus holds 48000 Hz, not 44100: leave out the rate"),
        (
            ("--format", "mp3", "--rate", 96_000),
            "mp3 holds 44100 or 48000 Hz, not 96000: leave out the rate",
        ),
        (("--ucs",), "--ucs needs to know who makes the sounds: add --creator"),
        (("--ucs", "--creator", ""), "the creator must be 1 to 20 letters and digits"),
        (("--ucs", "--creator", "J_D"), "the creator must be 1 to 20 letters and digits"),
        (("--ucs", "--creator", "JD", "--source", "a b"), "the source must be 1 to 20 letters"),
        (("--ucs", "--creator", "JD", "--category", "DOORWod"), "did you mean DOORWood"),
        (("--ucs", "--creator", "JD", "-o", "a.wav"), "name a folder with -o, not a file"),
        (("--ucs", "--creator", "JD", "--resume"), "with --ucs it needs --category"),
        (("--creator", "JD"), "--creator is a part of UCS names: add --ucs"),
        (("--category", "DOORWood"), "--category is a part of UCS names: add --ucs"),
        (("--sign", "--format", "ogg"), "ogg files take no Content Credentials"),
    ],
)
def test_what_cannot_be_is_one_line_and_no_file(
    model: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...], message: str
) -> None:
    assert generate(model, "rain", *options) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert names() == []


def test_wrong_settings_are_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "settings" / "woosh"
    folder.mkdir(parents=True)
    (folder / "studio.toml").write_text('[names]\nauthor = "ABC"\n')
    assert generate(model, "rain", "--ucs") == 2
    err = capsys.readouterr().err
    assert "studio.toml: names has an unknown name 'author'" in err
    assert err.count("\n") == 1
