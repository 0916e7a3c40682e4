"""The command line: what it writes, what it refuses, and that a refusal leaves nothing behind."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.toys import save_pipeline
from woosh import __version__, audio, catalogue, cli
from woosh.generation.sampling import Sampler


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy model folder: clips up to 1.99 s, three steps."""
    return save_pipeline(tmp_path_factory.mktemp("models") / "toy", max_frames=100)


@pytest.fixture(scope="session")
def few_step_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("models") / "toy-fast", flow_map=True)


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def woosh(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def generate(model: Path, *arguments: object) -> int:
    return woosh("generate", *arguments, "--model", model, "--device", "cpu")


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_generate_writes_the_file_that_was_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("-o", "dog.flac", "--seconds", 0.5, "--seed", 7, "--quiet")
    assert generate(model, "a dog  barking", *options) == 0
    assert files(tmp_path) == ["dog.flac"]
    assert audio.read_audio("dog.flac").shape == (1, 24_000)
    record = audio.read_metadata("dog.flac")
    assert -20 < record.pop("true_peak") <= -1
    assert record == {
        "prompt": "a dog barking",
        "seed": 7,
        "model": "toy",
        "version": __version__,
        "guidance": 5.5,
        "seconds": 0.5,
        "steps": 3,
        "weights_licence": "cc-by-4.0",
        "loudness": -23.0,
        "loudness_measure": "momentary",
    }
    out, err = capsys.readouterr()
    assert out == "dog.flac  0.50 s  -23.0 LUFS  seed 7\n"
    assert err == ""


def test_the_printed_random_seed_repeats_the_sound(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--seconds", 0.1, "--negative", "music")
    assert generate(model, "rain", "-o", "a.wav", *options) == 0
    seed = int(re.search(r"seed (\d+)", capsys.readouterr().out).group(1))  # type: ignore[union-attr]
    metadata = audio.read_metadata("a.wav")
    assert metadata["seed"] == seed
    assert metadata["negative_prompt"] == "music"
    assert generate(model, "rain", "-o", "b.wav", *options, "--seed", seed) == 0
    assert generate(model, "rain", "-o", "c.wav", *options, "--seed", seed + 1) == 0
    assert np.array_equal(audio.read_audio("a.wav"), audio.read_audio("b.wav"))
    assert not np.array_equal(audio.read_audio("a.wav"), audio.read_audio("c.wav"))


def test_several_sounds_get_numbers_and_their_own_seeds(model: Path, tmp_path: Path) -> None:
    prompts = ("a dog / barking", "a dog  barking?")
    assert generate(model, *prompts, "-n", 2, "-o", "out/", "--seconds", 0.1, "--seed", 5) == 0
    names = [f"out/a-dog-barking-{number}.wav" for number in (1, 2, 3, 4)]
    assert files(tmp_path) == ["out", *names]
    assert [audio.read_metadata(name)["seed"] for name in names] == [5, 6, 7, 8]
    assert generate(model, prompts[0], "--seconds", 0.1, "--seed", 6, "-o", "alone.wav") == 0
    assert np.array_equal(audio.read_audio("alone.wav"), audio.read_audio(names[1]))


def test_names_made_here_overwrite_nothing(model: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert generate(model, "con", "--seconds", 0.1) == 0
    assert files(tmp_path) == ["con-sound-2.wav", "con-sound.wav"]
    for _ in range(2):
        assert generate(model, "rain", "-n", 2, "-o", "r.ogg", "--seconds", 0.1) == 0
    assert files(tmp_path)[2:] == ["r-1-2.ogg", "r-1.ogg", "r-2-2.ogg", "r-2.ogg"]


def test_commands_at_the_same_time_overwrite_nothing(model: Path, tmp_path: Path) -> None:
    """Two commands in one folder choose their names from the same list."""
    arguments = ["rain", "-n", "10", "--seconds", "0.1", "--quiet", "--model", str(model)]
    command = [sys.executable, "-m", "woosh", "generate", *arguments, "--device", "cpu"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    runs = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    lines = [line for run in runs for line in run.communicate()[0].splitlines()]
    assert [run.returncode for run in runs] == [0, 0]
    seeds = {line.split()[0]: int(line.split()[-1]) for line in lines}
    assert len(seeds) == 20
    assert {name: audio.read_metadata(name)["seed"] for name in files(tmp_path)} == seeds


def test_a_batch_that_was_ended_goes_on(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run again with --resume, a batch makes what is missing and nothing twice."""
    batch = ("rain", "-n", 4, "--seconds", 0.1, "--quiet")
    assert generate(model, *batch, "--seed", 5) == 0
    kept = (tmp_path / "rain-1.wav").read_bytes()
    (tmp_path / "rain-2.wav").unlink()
    (tmp_path / "rain-4.wav").write_bytes(b"")
    capsys.readouterr()
    assert generate(model, *batch, "--seed", 5, "--resume") == 0
    lines = capsys.readouterr().out.splitlines()
    assert ["already made" in line for line in lines] == [True, False, True, False]
    assert files(tmp_path) == [f"rain-{name}.wav" for name in ("1", "2", "3", "4-2", "4")]
    assert (tmp_path / "rain-1.wav").read_bytes() == kept
    assert audio.read_metadata("rain-4-2.wav")["seed"] == 8
    assert generate(model, *batch, "--seed", 6, "--resume") == 0
    assert len(files(tmp_path)) == 9
    assert generate(model, *batch, "--resume") == 2
    assert "--resume needs the --seed" in capsys.readouterr().err


def test_a_named_file_is_overwritten(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("old")
    assert generate(model, "rain", "-o", "a.wav", "--seconds", 0.1) == 0
    assert audio.read_audio("a.wav").shape == (1, 4800)
    assert files(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("file_format", ["wav", "flac", "ogg"])
def test_format_option_and_loudness(model: Path, tmp_path: Path, file_format: str) -> None:
    options = ("--seconds", 0.3, "--loudness", -40, "--format", file_format, "--steps", 2)
    assert generate(model, "rain", *options, "--guidance", 2) == 0
    assert files(tmp_path) == [f"rain.{file_format}"]
    sound = audio.read_audio(f"rain.{file_format}")
    # Vorbis drops what it deems inaudible, in noise a decibel of it.
    assert audio.loudness(sound) == pytest.approx(-40, abs=1.5 if file_format == "ogg" else 0.1)
    assert np.abs(sound).max() <= 1


def test_unreachable_loudness_is_told(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--seconds", 0.5, "--loudness", 0, "-o", "a.wav", "--quiet")
    assert generate(model, "rain", *options) == 0
    note = r"woosh: note: 'rain': 0 LUFS would pass .* -1.0 dB; it has -\d+\.\d LUFS\n"
    assert re.fullmatch(note, capsys.readouterr().err)
    assert 0.99 * 10 ** (-1 / 20) < audio.true_peak(audio.read_audio("a.wav")) < 10 ** (-1 / 20)


def test_a_sound_that_is_heard_as_something_else_is_noted(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The toy's noise is no dog; of words that name no sound the ear knows nothing."""
    options = ("--seconds", 0.5, "--seed", 7, "-o", "out/")
    assert generate(model, "a dog barking", "the quick brown fox", *options) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(
        r"woosh: note: \S+dog\S+ may not be 'a dog barking': the built-in ear hears", line
    )
    assert generate(model, "a dog barking", "-o", "b.wav", "--seconds", 0.5, "--quiet") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_on_the_cpu(model: Path, dtype: str) -> None:
    assert generate(model, "rain", "--seconds", 0.1, "--dtype", dtype, "-o", "a.wav") == 0
    assert np.abs(audio.read_audio("a.wav")).max() > 0


def test_dopri5_and_few_step_models(model: Path, few_step_model: Path) -> None:
    assert generate(model, "rain", "--seconds", 0.1, "--solver", "dopri5", "-o", "a.wav") == 0
    assert generate(few_step_model, "rain", "--seconds", 0.1, "-o", "b.wav") == 0


REFUSALS = {
    "empty prompt": (["  "], "prompt is empty"),
    "invalid text": (["\udce9"], "not valid UTF-8"),
    "empty negative": (["rain", "--negative", ""], "negative prompt is empty"),
    "long prompt": (["rain " * 500], "shorter prompt"),
    "negative length": (["rain", "--seconds", "-1"], "--seconds: must be a number above 0"),
    "zero length": (["rain", "--seconds", "0"], "--seconds: must be a number above 0"),
    "NaN length": (["rain", "--seconds", "nan"], "--seconds: must be a number above 0"),
    "infinite length": (["rain", "--seconds", "inf"], "--seconds: must be a number above 0"),
    "length in words": (["rain", "--seconds", "five"], "--seconds: must be a number above 0"),
    "too long": (["rain", "--seconds", "601"], "601 seconds are too long: up to 600 s"),
    "less than a sample": (["rain", "--seconds", "1e-9"], "shorter than one sample"),
    "no steps": (["rain", "--steps", "0"], "--steps: must be a whole number from 1 to 1000"),
    "half a step": (["rain", "--steps", "1.5"], "--steps: must be a whole number"),
    "NaN guidance": (
        ["rain", "--guidance", "nan"],
        "--guidance: must be a number between 0 and 1000",
    ),
    "negative guidance": (
        ["rain", "--guidance", "-2"],
        "--guidance: must be a number between 0 and 1000",
    ),
    "negative seed": (["rain", "--seed", "-1"], "--seed: must be a whole number from 0"),
    "huge seed": (["rain", "--seed", str(2**64)], "--seed: must be a whole number from 0"),
    "no sounds": (["rain", "-n", "0"], "-n/--count: must be a whole number from 1"),
    "too many sounds": (["a", "b", "-n", "10000"], "20000 sounds are more than 10000"),
    "unknown format": (["rain", "--format", "aac"], "--format: invalid choice: 'aac'"),
    "unknown extension": (["rain", "-o", "a.aac"], ".wav, .flac, .ogg"),
    "contradiction": (["rain", "-o", "a.wav", "--format", "flac"], "choose one"),
    "missing folder": (["rain", "-o", "gone/a.wav"], "cannot write to gone: there is no such"),
    "missing parent": (["rain", "-o", "gone/deep/"], "cannot write to gone: there is no such"),
    "file as folder": (["rain", "-o", "taken/"], "taken exists and is not a folder"),
    "below a file": (["rain", "-o", "taken/a.wav"], "cannot write to taken"),
    "device as file": (["rain", "-o", "null.wav"], "null.wav exists and is not a file"),
    "nameless output": (["rain", "-o", ""], "name is empty"),
    "unwritable folder": (["rain", "-o", "/proc/a.wav"], "cannot write to /proc"),
    "loudness above 0": (["rain", "--loudness", "3"], "--loudness: must be a number between"),
    "missing device": (["rain", "--device", "mps"], "device mps is not available here"),
    "unknown device": (["rain", "--device", "tpu"], "--device: invalid choice"),
    "unknown dtype": (["rain", "--dtype", "int8"], "--dtype: invalid choice"),
    "steps of dopri5": (
        ["rain", "--solver", "dopri5", "--steps", "9"],
        "dopri5 chooses its own steps: leave out the number of steps",
    ),
    "unknown option": (["rain", "--frobnicate"], "unrecognized arguments: --frobnicate"),
    "no prompt": ([], "required: PROMPT"),
    "unknown model": (["rain", "--model", "woosh-huge"], "unknown model 'woosh-huge'"),
    "empty model": (["rain", "--model", ""], "unknown model ''"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_input_is_refused_in_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    arguments, message = REFUSALS[case]
    (tmp_path / "taken").write_text("")
    (tmp_path / "null.wav").symlink_to("/dev/null")
    before = files(tmp_path)
    assert woosh("generate", "--model", model, "--seconds", 1, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("woosh: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert files(tmp_path) == before


def test_few_step_models_refuse_negative_prompts(
    few_step_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(few_step_model, "rain", "--negative", "music") == 2
    assert "take no negative prompt: leave it out, or take another model, such as woosh-small" in (
        capsys.readouterr().err
    )
    assert generate(few_step_model, "rain", "--solver", "dopri5") == 2
    assert "own solver: leave it out, or take another model, such as woosh-small" in (
        capsys.readouterr().err
    )


def _drop(folder: Path, name: str) -> None:
    path = folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: _drop(f, "model_index.json"), "has no model_index.json"),
        (lambda f: _drop(f, "transformer"), "incomplete: it has no folder transformer"),
        (lambda f: _drop(f, "tokenizer"), "incomplete: it has no folder tokenizer"),
        (lambda f: _drop(f, "transformer/config.json"), "config.json is missing"),
        (lambda f: (f / "transformer/config.json").write_text("{"), "not JSON"),
        (lambda f: (f / "transformer/config.json").write_text("{}"), "config.json lacks flow_map"),
        (lambda f: (f / "model_index.json").write_text("{}"), "not a WooshPipeline"),
        (
            lambda f: _drop(f, "autoencoder/diffusion_pytorch_model.safetensors"),
            "holds no .safetensors",
        ),
        (
            lambda f: (f / "autoencoder/diffusion_pytorch_model.safetensors").write_bytes(
                b"x" * 99
            ),
            "is damaged",
        ),
        (
            lambda f: (f / "autoencoder/diffusion_pytorch_model.safetensors").write_bytes(
                (f / "autoencoder/diffusion_pytorch_model.safetensors").read_bytes()[:-4]
            ),
            "is damaged",
        ),
    ],
)
def test_damaged_model_folders_are_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage, message: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    damage(copy)
    assert generate(copy, "rain", "-o", "a.wav") == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert files(tmp_path)[0] == "copy"


def test_a_released_checkpoint_is_not_yet_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"")
    assert generate(tmp_path, "rain") == 2
    assert "woosh convert" in capsys.readouterr().err


def test_models_lists_the_built_in_ones(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalogue, "BUILT_IN", model.parent)
    assert woosh("models") == 0
    line = capsys.readouterr().out
    assert line.startswith("toy  0.2 M parameters  0.")
    assert "1.99 s in one piece at 48000 Hz  cc-by-4.0" in line
    assert str(model) in line
    options = ("--model", "toy", "--seconds", 0.1, "-o", "a.wav", "--quiet")
    assert woosh("generate", "rain", *options) == 0
    monkeypatch.setattr(catalogue, "BUILT_IN", tmp_path)
    assert woosh("models") == 2


def test_parameters_are_counted_from_the_headers(model: Path) -> None:
    from woosh.generation.pipeline import WooshPipeline

    pipeline = WooshPipeline.from_pretrained(model)
    parts = (pipeline.autoencoder, pipeline.transformer, pipeline.text_encoder)
    stored = sum(tensor.numel() for part in parts for tensor in part.state_dict().values())
    assert catalogue.describe_model(model).parameters == stored


def test_reconstruct_keeps_length_and_channels(model: Path, tmp_path: Path) -> None:
    moments = np.arange(22_050) / 44_100
    stereo = np.stack([np.sin(600 * moments), 0.1 * np.sin(900 * moments)]).astype(np.float32)
    audio.write_audio("in.wav", stereo, 44_100, {"prompt": "a door", "seed": 7})
    assert woosh("reconstruct", "in.wav", "out.flac", "--model", model, "--device", "cpu") == 0
    assert audio.read_audio("out.flac", mono=False).shape == (2, 24_000)
    record = audio.read_metadata("out.flac")
    assert (record["model"], record["operations"]) == ("toy", "reconstruct")
    assert (record["prompt"], record["seed"]) == ("a door", 7)
    assert files(tmp_path) == ["in.wav", "out.flac"]


def test_reconstruct_from_generated_latents_alone(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 24_000)).astype(np.float32)
    audio.write_audio("in.wav", noise)
    assert woosh("reconstruct", "in.wav", "all.wav", "--generated", "--model", "woosh-tiny") == 0
    assert audio.read_audio("all.wav", mono=False).shape == (2, 24_000)
    assert audio.read_metadata("all.wav")["latents"] == "generated"
    audio.write_audio("long.wav", np.zeros((1, 601 * 2_000), np.float32), 2_000)
    assert woosh("reconstruct", "long.wav", "out.wav", "--generated", "--model", model) == 2
    message = "long.wav has 601 s, and --generated takes up to 600: cut it first"
    assert message in capsys.readouterr().err
    assert not Path("out.wav").exists()


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("gone.wav", "out.wav", "no audio file at gone.wav"),
        ("text.wav", "out.wav", "cannot read text.wav as audio"),
        ("in.wav", "out.aac", ".wav, .flac, .ogg"),
        ("in.wav", "gone/out.wav", "cannot write to gone"),
    ],
)
def test_reconstruct_refusals(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    source: str,
    target: str,
    message: str,
) -> None:
    audio.write_audio("in.wav", np.zeros((1, 480), np.float32))
    (tmp_path / "text.wav").write_text("text")
    assert woosh("reconstruct", source, target, "--model", model) == 2
    assert message in capsys.readouterr().err
    assert files(tmp_path) == ["in.wav", "text.wav"]


def test_convert_refuses_missing_folders(capsys: pytest.CaptureFixture[str]) -> None:
    assert woosh("convert", "gone", "out") == 2
    assert "no released checkpoint folder at gone" in capsys.readouterr().err


def test_other_failures_and_interruption_have_their_own_codes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(error: BaseException) -> None:
        def sample(*_arguments: object, **_options: object) -> None:
            raise error

        monkeypatch.setattr(Sampler, "__call__", sample)

    fail(RuntimeError("out of memory\nsecond line"))
    assert generate(model, "rain", "--seconds", 1) == 1
    assert capsys.readouterr().err == "woosh: error: out of memory second line\n"
    fail(KeyboardInterrupt())
    assert generate(model, "rain", "--seconds", 1) == 130
    assert capsys.readouterr().err == "woosh: interrupted\n"
    assert files(tmp_path) == []


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in (
        (["--version"], f"woosh {__version__}\n"),
        (["--help"], 'woosh generate "a dog barking" -o dog.wav'),
        (["generate", "--help"], "examples:"),
    ):
        with pytest.raises(SystemExit) as ending:
            woosh(*arguments)
        assert ending.value.code == 0
        assert expected in capsys.readouterr().out


def test_help_and_refusals_import_nothing_heavy() -> None:
    script = (
        "import sys; from woosh.cli import main; main(['generate', 'rain', '--model', 'gone']);"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'scipy', 'soxr')"
        " if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert answer.stdout == "[]\n"
    assert answer.stderr.startswith("woosh: error: unknown model 'gone'")


@pytest.mark.parametrize(
    ("arguments", "imported"),
    [
        (["--help"], []),
        (["--version"], []),
        (["models"], ["models"]),
        (["export-tagger", "--help"], ["export_tagger"]),
        (["unknown"], []),
    ],
)
def test_only_the_command_that_is_called_is_imported(
    arguments: list[str], imported: list[str]
) -> None:
    """The list of commands took longer to import than to make; that of models needs no arrays either."""
    places = [f"woosh.commands.{name.replace('-', '_')}" for name in cli.COMMANDS]
    script = (
        "import atexit, sys; from woosh.cli import main\n"
        f"watched = {['numpy', *places]}\n"
        "atexit.register(lambda: print([name for name in watched if name in sys.modules], file=sys.stderr))\n"
        f"main({arguments})"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    found = [f"woosh.commands.{name}" for name in imported]
    assert answer.stderr.splitlines()[-1] == str(found)


def test_the_list_of_commands_names_each(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that have a file, and what each is for; the order is the list's own."""
    with pytest.raises(SystemExit):
        woosh("--help")
    told = " ".join(capsys.readouterr().out.split())
    folder = Path(cli.__file__).parent / "commands"
    there = {path.stem for path in folder.glob("*.py") if "\ndef fill(" in path.read_text("utf-8")}
    assert {name.replace("-", "_") for name in cli.COMMANDS} == there
    for name, brief in cli.COMMANDS.items():
        assert f" {name} {brief} " in told
        with pytest.raises(SystemExit):
            woosh(name, "--help")
        assert capsys.readouterr().out.startswith(f"usage: woosh {name} ")


def test_the_installed_command_is_quiet(model: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "woosh",
        "generate",
        "a dog",
        "-o",
        "a.wav",
        "--seconds",
        "0.1",
        "--quiet",
    ]
    answer = subprocess.run([*command, "--model", model], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    assert answer.stdout.startswith("a.wav  0.10 s  -23.0 LUFS  seed ")
    assert json.loads(json.dumps(audio.read_metadata(tmp_path / "a.wav")))["prompt"] == "a dog"


def test_a_generation_imports_no_compiler_and_no_adapters(tmp_path: Path) -> None:
    """They took longer than the sound: diffusers brings them along where it is asked for a device or imported as usual."""
    script = (
        "import sys\n"
        "from woosh.cli import main\n"
        "main(['generate', 'rain', '--model', 'woosh-tiny-fast', '--seconds', '0.5', '--seed', '1', '-o', 'rain.wav'])\n"
        "print([name for name in ('torch._dynamo', 'peft', 'transformers.modeling_utils') if name in sys.modules])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert answer.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "rain.wav").is_file()
