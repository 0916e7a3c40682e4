"""`woosh vary`, `woosh morph`, and `woosh generate` from a library or with several draws: files, records, refusals."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.sounds import sound, write_sounds
from tests.toys import save_pipeline
from woosh import audio, cli
from woosh.studio.seeds import SEED_STRIDE, take_seeds


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy model folder: clips up to 1.99 s in one piece, three steps."""
    return save_pipeline(tmp_path_factory.mktemp("models") / "toy", max_frames=100)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three sounds, heard by the built-in aligner."""
    folder = tmp_path_factory.mktemp("place") / "library"
    write_sounds(folder / "deep", range(3))
    assert cli.main(["index", str(folder), "--device", "cpu"]) == 0
    return folder


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def woosh(model: Path, *arguments: object) -> int:
    words = (*arguments, "--model", model, "--device", "cpu")
    return cli.main([str(word) for word in words])


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_variations_of_a_file_of_another_rate_and_two_channels(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cousins are as long as the file, numbered, and say what they were made from."""
    frames = np.stack([sound(1, 0.5)[0], 0.5 * sound(1, 0.5)[0]], axis=1)
    soundfile.write("A door.wav", frames[::2], 24_000)
    assert woosh(model, "vary", "A door.wav", "-n", 2, "--seed", 7, "-o", "out/") == 0
    assert files(tmp_path) == [
        "A door.wav",
        "out/a-door-variation-1.wav",
        "out/a-door-variation-2.wav",
    ]
    line = capsys.readouterr().out.splitlines()[1]
    told = re.fullmatch(r"out/a-door-variation-2\.wav  0\.50 s  -19\.1 LUFS  seed (\d+)", line)
    assert told is not None and int(told[1]) in take_seeds(8)
    first, second = (audio.read_audio(f"out/a-door-variation-{n}.wav") for n in (1, 2))
    assert first.shape == second.shape == (1, 24_000) and not np.array_equal(first, second)
    record = audio.read_metadata("out/a-door-variation-2.wav")
    assert record["from"] == "A door.wav" and record["similarity"] == 0.7
    assert record["prompt"] == "" and record["seed"] == int(told[1])


def test_variations_that_are_too_near_are_drawn_again_and_told(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The toy's are near whatever the seed: each file can be made again alone, and a note says that they are near."""
    audio.write_audio("door.wav", sound(1), 48_000)
    words = ("vary", "door.wav", "--seed", 3)
    assert woosh(model, *words, "-n", 3, "-o", "set/") == 0
    assert "note: 2 of 3 variations are nearer to one before them" in capsys.readouterr().err
    seeds = [audio.read_metadata(path)["seed"] for path in sorted(Path("set").iterdir())]
    assert all(seed in take_seeds(3 + place) for place, seed in enumerate(seeds))
    assert seeds != [3, 4, 5]
    last = Path("set/door-variation-3.wav")
    assert woosh(model, "vary", "door.wav", "--seed", seeds[2], "-o", "again.wav") == 0
    assert np.array_equal(audio.read_audio("again.wav"), audio.read_audio(last))
    capsys.readouterr()
    assert woosh(model, *words, "-n", 3, "--similarity", 0.9, "-o", "nearer/") == 0
    assert capsys.readouterr().err == ""
    nearer = [audio.read_metadata(path)["seed"] for path in sorted(Path("nearer").iterdir())]
    assert nearer == [3, 4, 5]


def test_the_prompt_is_that_of_the_record_unless_another_is_given(model: Path) -> None:
    """A sound that was made here is varied with its own words."""
    audio.write_audio("rain.wav", sound(1), 48_000, {"prompt": "rain on a roof", "seed": 3})
    assert woosh(model, "vary", "rain.wav", "-o", "a.wav") == 0
    assert audio.read_metadata("a.wav")["prompt"] == "rain on a roof"
    assert woosh(model, "vary", "rain.wav", "-o", "b.wav", "--prompt", "sea  waves") == 0
    assert audio.read_metadata("b.wav")["prompt"] == "sea waves"


@pytest.mark.parametrize("words", [("generate", "rain", "--seconds", 0.3), ("vary", "source.wav")])
def test_the_seed_of_the_best_take_makes_it_again(model: Path, words: tuple[object, ...]) -> None:
    """What --best-of kept is the sound of the seed that it names, one of those that it drew."""
    audio.write_audio("source.wav", sound(1), 48_000)
    assert woosh(model, *words, "-n", 2, "--best-of", 3, "--seed", 5, "-o", "best/") == 0
    kept = sorted(Path("best").iterdir())
    seeds = [int(audio.read_metadata(path)["seed"]) for path in kept]
    assert seeds[0] in (5, 6, 7) and seeds[1] % SEED_STRIDE in (8, 9, 10)
    assert woosh(model, *words, "--seed", seeds[1], "-o", "again.wav") == 0
    assert np.array_equal(audio.read_audio("again.wav"), audio.read_audio(kept[1]))


def test_a_batch_of_best_takes_goes_on(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--resume knows a sound by any of the seeds that were drawn for it."""
    batch = ("generate", "rain", "--seconds", 0.2, "-n", 2, "--best-of", 2, "--seed", 5, "-o", "o/")
    assert woosh(model, *batch, "--quiet") == 0
    made = capsys.readouterr().out
    Path("o/rain-2.wav").unlink()
    assert woosh(model, *batch, "--quiet", "--resume") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "already made" in lines[0] and lines[1] == made.splitlines()[1]


def test_takes_start_from_the_nearest_recordings_and_name_them(model: Path, library: Path) -> None:
    """Take k starts from the k-th nearest; with no strength it is that recording, with 1 nothing of it."""
    options = ("generate", "a tone", "--from", library, "--seconds", 0.5, "--seed", 1, "--quiet")
    assert woosh(model, *options, "-n", 4, "-o", "takes/") == 0
    records = [audio.read_metadata(path) for path in sorted(Path("takes").iterdir())]
    names = [record["from"] for record in records]
    assert sorted(names[:3]) == [f"deep/clip-{n}.wav" for n in range(3)] and names[3] == names[0]
    assert {record["strength"] for record in records} == {0.8}
    like = library / "deep" / "clip-1.wav"
    for strength in (0, 1):
        by_ear = ("--like", like, "--strength", strength, "-o", f"{strength}.wav")
        assert woosh(model, *options, *by_ear) == 0
        assert audio.read_metadata(f"{strength}.wav")["from"] == "deep/clip-1.wav"
    assert woosh(model, "generate", "a tone", "--seconds", 0.5, "--seed", 1, "-o", "new.wav") == 0
    assert np.array_equal(audio.read_audio("1.wav"), audio.read_audio("new.wav"))
    assert woosh(model, "reconstruct", "--generated", like, "itself.wav") == 0
    itself, start = audio.read_audio("itself.wav")[0], audio.read_audio("0.wav")[0]
    assert np.corrcoef(itself, start)[0, 1] > 0.8


def test_a_morph_is_a_numbered_sequence(model: Path, tmp_path: Path) -> None:
    """Every sound is as long as the longer one and says how far on the way it is."""
    write_sounds(tmp_path, range(1), 0.5)
    write_sounds(tmp_path, range(1, 2), 0.3)
    assert woosh(model, "morph", "clip-0.wav", "clip-1.wav", "--steps", 3, "-o", "way/") == 0
    names = [f"clip-0-to-clip-1-{number}.wav" for number in (1, 2, 3)]
    assert files(tmp_path / "way") == names
    records = [audio.read_metadata(tmp_path / "way" / name) for name in names]
    assert [record["share"] for record in records] == [0, 0.5, 1]
    assert records[0]["from"] == "clip-0.wav" and records[0]["to"] == "clip-1.wav"
    assert {audio.read_audio(tmp_path / "way" / name).shape for name in names} == {(1, 24_000)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("vary nowhere.wav", "no audio file at nowhere.wav"),
        ("vary text.wav", "cannot read text.wav"),
        ("vary silent.wav", "silent.wav is silent: there is nothing to start from"),
        ("vary long.wav", "long.wav has 601 s: up to 600 s are made at a time, cut it first"),
        (
            "vary a.wav --similarity 1.5",
            "--similarity: must be a number between 0 and 1, not '1.5'",
        ),
        ("vary a.wav --similarity 1 -n 2", "with --similarity 1 every take is the sound itself"),
        ("vary a.wav --best-of 0", "--best-of: must be a whole number from 1 to 100, not '0'"),
        ("vary a.wav -n 5000 --best-of 3", "15000 sounds are more than 10000"),
        ("vary a.wav --prompt ''", "the prompt is empty"),
        ("vary a.wav -o out.xyz", "out.xyz"),
        ("vary a.wav --guidance -1", "--guidance: must be a number between 0 and 1000"),
        ("morph a.wav nowhere.wav", "no audio file at nowhere.wav"),
        ("morph a.wav silent.wav", "silent.wav is silent"),
        ("morph a.wav a.wav --steps 1", "--steps: must be a whole number from 2 to 1000, not '1'"),
        ("morph a.wav a.wav --strength 2", "--strength: must be a number between 0 and 1, not '2'"),
        ("generate rain --from nowhere", "no index in nowhere: make one with `woosh index DIR`"),
        ("generate rain --strength 0.5", "--strength is of what sounds start from"),
        ("generate rain --like a.wav", "--like is of what sounds start from"),
        ("generate rain --from LIBRARY --like nowhere.wav", "no audio file at nowhere.wav"),
        (
            "generate rain --from LIBRARY --strength 2",
            "--strength: must be a number between 0 and 1",
        ),
        ("generate rain --from LIBRARY --solver dopri5", "dopri5 starts from noise"),
    ],
)
def test_what_users_get_wrong_is_one_line(
    model: Path, library: Path, words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every refusal names the thing and leaves no file behind."""
    audio.write_audio("a.wav", sound(1), 48_000)
    audio.write_audio("silent.wav", np.zeros((1, 4800), np.float32), 48_000)
    soundfile.write("long.wav", np.ones(601 * 1000, np.float32), 1000)
    Path("text.wav").write_text("no sound")
    before = files(Path())
    split = ["" if word == "''" else word for word in words.split()]
    assert woosh(model, *[library if word == "LIBRARY" else word for word in split]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and message in err
    assert files(Path()) == before


def test_a_recording_that_is_gone_is_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An index that is older than its folder gives an error, not another sound."""
    write_sounds(tmp_path / "own", range(1))
    assert cli.main(["index", "own", "--device", "cpu"]) == 0
    (tmp_path / "own" / "clip-0.wav").unlink()
    capsys.readouterr()
    assert woosh(model, "generate", "rain", "--from", "own") == 2
    assert "no longer there" in capsys.readouterr().err
