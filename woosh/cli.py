"""The command `woosh`: generate sounds, list models, convert checkpoints, reconstruct audio.

Everything that can be checked without the model is checked before it is loaded, and torch is
imported only by then: `woosh --help` and every refusal answer at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import secrets
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from woosh import __version__, audio, catalogue
from woosh.arguments import MAX_CLIPS, count_up_to, number, seed_number
from woosh.outputs import check_writable, plan_output

if TYPE_CHECKING:
    import numpy as np
    import torch

    from woosh.sampling import Sampler

GENERATE_EXAMPLES = """\
examples:
  woosh generate "a dog barking" -o dog.wav
  woosh generate "rain on a tin roof" --seconds 10 --seed 7 -o rain.flac
  woosh generate "glass breaking" -n 4 -o takes/              four takes, numbered
  woosh generate "footsteps on gravel" "a door creaks" -o scene/
  woosh generate "a siren" --negative "music, voices" --guidance 6 --loudness -18
"""

MAIN_EXAMPLES = """\
examples:
  woosh generate "a dog barking" -o dog.wav
  woosh models
  woosh reconstruct recording.wav through-the-autoencoder.wav
  woosh convert checkpoints/Woosh-Flow models/woosh-flow

`woosh COMMAND --help` tells the options of a command.
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, printed by `main` like every other refusal."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 on success, 2 after bad input, 1 after another failure, 130 after Ctrl-C.
    """
    try:
        arguments = build_parser().parse_args(argv)
        arguments.run(arguments)
    except (ValueError, OSError) as error:
        return _fail(error, 2)
    except (RuntimeError, MemoryError, ImportError) as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        print("woosh: interrupted", file=sys.stderr)
        return 130
    return 0


def _fail(error: BaseException, code: int) -> int:
    """Print an error as one line, whatever the number of lines in its message."""
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"woosh: error: {text}", file=sys.stderr)
    return code


def build_parser() -> Parser:
    """Build the parser of `woosh` and its commands."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(
        prog="woosh",
        description="Sound effects from text, offline.",
        epilog=MAIN_EXAMPLES,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"woosh {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_generate(
        commands.add_parser(
            "generate",
            help="generate sounds from prompts",
            description="Generate sounds from prompts.",
            epilog=GENERATE_EXAMPLES,
            formatter_class=raw,
        )
    )
    models = commands.add_parser(
        "models",
        help="list the built-in models",
        description="List the built-in models: parameters, size, licence of the weights, folder.",
    )
    models.set_defaults(run=run_models)
    _add_convert(
        commands.add_parser(
            "convert",
            help="convert a released checkpoint",
            description="Convert a released checkpoint folder (config.yaml and weights.safetensors) "
            "into a model folder.",
        )
    )
    _add_reconstruct(
        commands.add_parser(
            "reconstruct",
            help="pass audio through the autoencoder",
            description="Pass a recording of any length through a model's autoencoder, to hear what "
            "it keeps. The recording is resampled to the model's rate; its channels stay, each "
            "passed by itself.",
        )
    )
    return parser


def _add_generate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("prompts", nargs="+", metavar="PROMPT", help="what to hear; several give several sounds")
    add(
        "-o",
        "--output",
        metavar="FILE|DIR",
        help="a file, whose extension tells the format, or a folder (an existing one, or a name "
        "without extension); default: this folder, named after the prompt. A file that you name "
        "is overwritten; names made here never overwrite anything",
    )
    add(
        "--seconds",
        type=number(0, open_low=True),
        default=5.0,
        metavar="S",
        help="length (default 5)",
    )
    add(
        "--steps",
        type=count_up_to(1000),
        metavar="N",
        help="steps of the solver (default: the model's)",
    )
    add(
        "--guidance",
        type=number(0),
        metavar="G",
        help="how closely to follow the prompt, 1 = no guidance (default: the model's)",
    )
    add("--negative", metavar="TEXT", help="what not to hear (not with few-step models)")
    add("--solver", choices=("euler", "dopri5"), default="euler", help="default euler")
    add(
        "--seed",
        type=seed_number,
        metavar="N",
        help="number that decides the noise (default: random)",
    )
    add(
        "-n",
        "--count",
        type=count_up_to(MAX_CLIPS),
        default=1,
        metavar="COUNT",
        help="sounds for each prompt, with seeds N, N + 1, ... (default 1)",
    )
    add("--format", choices=tuple(audio.SUBTYPES), help="file format (default wav)")
    add(
        "--loudness",
        type=number(-70, 0),
        metavar="LUFS",
        help="integrated loudness to reach, from -70 to 0; peaks are never clipped",
    )
    _add_model_options(parser)
    add(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="precision of the text encoder and the transformer; the autoencoder always runs in "
        "float32 (default auto: bfloat16 on cuda, else float32)",
    )
    parser.set_defaults(run=run_generate)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default=catalogue.DEFAULT_MODEL,
        metavar="NAME|DIR",
        help=f"a built-in model or a model folder (default {catalogue.DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="where to compute (default auto: an accelerator if there is one)",
    )


def _add_convert(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", type=Path, metavar="RELEASED_DIR", help="folder of the released checkpoint")
    add("target", type=Path, metavar="OUT_DIR", help="model folder to write; must not exist yet")
    add(
        "--tokenizer",
        metavar="DIR",
        help="folder of the RoBERTa tokenizer (default: fetched from the hub by name)",
    )
    parser.set_defaults(run=run_convert)


def _add_reconstruct(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="IN", help="audio file")
    parser.add_argument("target", type=Path, metavar="OUT", help="file to write: .wav, .flac, .ogg")
    _add_model_options(parser)
    parser.set_defaults(run=run_reconstruct)


def _clean_text(text: str, name: str) -> str:
    """Return a prompt in one line.

    Raises:
        ValueError: it is empty or not valid text.
    """
    words = " ".join(text.split())
    if not words:
        raise ValueError(f'the {name} is empty: say what to hear, such as "a dog barking"')
    if any(0xD800 <= ord(character) <= 0xDFFF for character in words):
        raise ValueError(f"the {name} is not valid UTF-8 text")
    return words


def run_generate(arguments: argparse.Namespace) -> None:
    """`woosh generate`: check, load, then generate and write clip by clip."""
    prompts = [_clean_text(text, "prompt") for text in arguments.prompts]
    negative = (
        None if arguments.negative is None else _clean_text(arguments.negative, "negative prompt")
    )
    clips = len(prompts) * arguments.count
    if clips > MAX_CLIPS:
        raise ValueError(f"{clips} sounds are more than {MAX_CLIPS}: ask for fewer at a time")
    info = catalogue.describe_model(catalogue.find_model(arguments.model))
    _check_request(arguments, negative, info)
    target = plan_output(arguments.output, arguments.format, clips)
    seed = secrets.randbelow(2**32) if arguments.seed is None else arguments.seed
    records = [
        {
            "prompt": prompt,
            **({} if negative is None else {"negative_prompt": negative}),
            "seed": seed + index,
            "model": info.name,
            "version": __version__,
        }
        for index, prompt in enumerate(p for p in prompts for _ in range(arguments.count))
    ]
    for record in records:
        audio.encode_metadata(record)

    sampler = load_model(info, arguments.device, arguments.dtype)
    target.folder.mkdir(exist_ok=True)
    for index, record in enumerate(records):
        sound = _generate_one(sampler, arguments, record["prompt"], negative, record["seed"])
        path = target.path(record["prompt"], index, clips)
        audio.write_audio(
            path,
            _level(sound, arguments.loudness, target.file_format, info),
            info.sample_rate,
            record,
        )
        print(
            f"{path}  {sound.shape[1] / info.sample_rate:.2f} s  seed {record['seed']}", flush=True
        )


def _check_request(
    arguments: argparse.Namespace, negative: str | None, info: catalogue.ModelInfo
) -> None:
    """Raise ValueError for a wish that this model cannot fulfil."""
    if arguments.seconds > info.longest:
        raise ValueError(
            f"--seconds {arguments.seconds:g} is too long: {info.name} generates up to "
            f"{info.longest:g} s at a time"
        )
    if round(arguments.seconds * info.sample_rate) < 1:
        raise ValueError(f"--seconds {arguments.seconds:g} is shorter than one sample")
    if info.few_step and negative is not None:
        raise ValueError(
            f"{info.name} is a few-step model and takes no negative prompt: leave out --negative"
        )
    if info.few_step and arguments.solver != "euler":
        raise ValueError(f"{info.name} is a few-step model with its own solver: leave out --solver")
    if arguments.solver == "dopri5" and arguments.steps is not None:
        raise ValueError("dopri5 chooses its own steps: leave out --steps")


def _generate_one(
    sampler: Sampler,
    arguments: argparse.Namespace,
    prompt: str,
    negative: str | None,
    seed: int,
) -> np.ndarray:
    import torch

    sound = sampler(
        prompt,
        negative_prompt=negative,
        seconds=arguments.seconds,
        num_inference_steps=arguments.steps,
        guidance_scale=arguments.guidance,
        generator=torch.Generator().manual_seed(seed),
        solver=arguments.solver,
    )
    return sound[0].cpu().numpy()


def _level(
    sound: np.ndarray, target: float | None, file_format: str, info: catalogue.ModelInfo
) -> np.ndarray:
    """Bring (1, S) audio to the loudness asked for, below the ceiling of its file format."""
    ceiling = audio.CEILINGS[file_format]
    if target is None:
        return audio.peak_guard(sound, ceiling)
    levelled = audio.normalise_loudness(sound, target, info.sample_rate, ceiling)
    if not levelled.reached:
        print(
            f"woosh: note: {target:g} LUFS would clip this sound; it has {levelled.loudness:.1f} LUFS",
            file=sys.stderr,
        )
    return levelled.audio


def choose_device(name: str) -> torch.device:
    """Return the device called auto, cpu, cuda or mps.

    Raises:
        ValueError: it is not there.
    """
    import torch

    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in present.items() if there)
    if not present[name]:
        there = ", ".join(device for device in present if present[device])
        raise ValueError(f"device {name} is not available here; there is {there}")
    return torch.device(name)


def load_model(info: catalogue.ModelInfo, device_name: str, dtype_name: str) -> Sampler:
    """Load a model folder onto a device, without network and without chatter.

    Raises:
        ValueError: the device is not there.
    """
    import torch

    device = choose_device(device_name)
    if dtype_name == "auto":
        dtype_name = "bfloat16" if device.type == "cuda" else "float32"
    _quiet_libraries()
    from woosh.sampling import load_sampler

    sampler = load_sampler(info.folder, device, getattr(torch, dtype_name))
    return dataclasses.replace(sampler, progress=tqdm_on_terminals)


def tqdm_on_terminals(steps: Iterable[Any]) -> Iterable[Any]:
    """Show a progress bar where somebody watches."""
    from tqdm import tqdm

    return tqdm(steps, leave=False, disable=not sys.stderr.isatty())


def _quiet_libraries() -> None:
    """Keep loading bars and advice of the libraries off the terminal."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


def run_models(_arguments: argparse.Namespace) -> None:
    """`woosh models`: one line for each built-in model."""
    models = catalogue.built_in_models()
    if not models:
        raise FileNotFoundError(f"no built-in model in {catalogue.BUILT_IN}")
    for info in models:
        print(
            f"{info.name}  {info.parameters / 1e6:.1f} M parameters  {info.size / 1e6:.1f} MB  "
            f"up to {info.longest:g} s at {info.sample_rate} Hz  {info.licence}  {info.folder}"
        )


def run_convert(arguments: argparse.Namespace) -> None:
    """`woosh convert`: released folder -> model folder."""
    if not arguments.source.is_dir():
        raise FileNotFoundError(f"no released checkpoint folder at {arguments.source}")
    from woosh.convert import convert

    convert(arguments.source, arguments.target, tokenizer=arguments.tokenizer)
    print(arguments.target)


def run_reconstruct(arguments: argparse.Namespace) -> None:
    """`woosh reconstruct`: audio file -> autoencoder -> audio file."""
    info = catalogue.describe_model(catalogue.find_model(arguments.model))
    file_format = audio.format_of(arguments.target)
    check_writable(arguments.target.parent)
    recording = audio.read_audio(arguments.source, info.sample_rate, mono=False)
    device = choose_device(arguments.device)
    _quiet_libraries()
    from woosh.autoencoder import WooshAutoencoder
    from woosh.reconstruct import reconstruct

    autoencoder = WooshAutoencoder.from_pretrained(info.folder / "autoencoder")
    autoencoder = autoencoder.float()
    autoencoder.to(device)  # type: ignore[arg-type]  # diffusers hides the signature
    sound = reconstruct(autoencoder, recording)
    record = {"source": arguments.source.name, "model": info.name, "version": __version__}
    audio.write_audio(
        arguments.target,
        audio.peak_guard(sound, audio.CEILINGS[file_format]),
        info.sample_rate,
        record,
    )
    print(f"{arguments.target}  {sound.shape[1] / info.sample_rate:.2f} s")
