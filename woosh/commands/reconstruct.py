"""`woosh reconstruct`: audio through the autoencoder."""

from __future__ import annotations

import argparse
from pathlib import Path

from woosh import __version__, audio, catalogue
from woosh.commands.options import add_model_options, explain
from woosh.commands.outputs import check_file


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Pass a recording of any length through a model's autoencoder, to hear what "
        "it keeps. The recording is resampled to the model's rate; its channels stay, each "
        "passed by itself.",
    )
    parser.add_argument("source", type=Path, metavar="IN", help="audio file")
    parser.add_argument(
        "target",
        type=Path,
        metavar="OUT",
        help=f"file to write: {', '.join('.' + name for name in audio.FORMATS)}",
    )
    parser.add_argument(
        "--generated",
        action="store_true",
        help="through those latents alone that the model's generator makes: the best that it could sound",
    )
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """`woosh reconstruct`: audio file -> autoencoder -> audio file."""
    info = catalogue.describe_model(catalogue.find_model(arguments.model))
    file_format = audio.format_of(arguments.target)
    check_file(arguments.target)
    recording = audio.read_audio(arguments.source, info.sample_rate, mono=False)

    from woosh.generation.request import LONGEST_SECONDS

    seconds = recording.shape[1] / info.sample_rate
    if arguments.generated and seconds > LONGEST_SECONDS:
        raise ValueError(
            f"{arguments.source} has {seconds:.0f} s, and --generated takes up to {LONGEST_SECONDS:g}: cut it first"
        )

    from woosh.generation.loading import choose_device, quiet_libraries

    device = choose_device(arguments.device)
    quiet_libraries()
    from woosh.autoencoder import load_autoencoder
    from woosh.autoencoder.reconstruction import reconstruct, reconstruct_generated

    autoencoder = load_autoencoder(catalogue.part_folders(info.folder)["autoencoder"])
    autoencoder = autoencoder.float().to(device)
    way = reconstruct_generated if arguments.generated else reconstruct
    sound = way(autoencoder, recording)
    facts = {"source": arguments.source.name, "model": info.name, "version": __version__}
    if arguments.generated:
        facts["latents"] = "generated"
    record = audio.derived_record(audio.kept_record(arguments.source), "reconstruct", **facts)
    audio.write_audio(
        arguments.target,
        audio.peak_guard(sound, audio.CEILINGS[file_format]),
        info.sample_rate,
        record,
    )
    print(f"{arguments.target}  {sound.shape[1] / info.sample_rate:.2f} s")
