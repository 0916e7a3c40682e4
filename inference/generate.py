"""One sound with the Python API, in the fewest steps.

    python inference/generate.py woosh/models/woosh-tiny "a dog barking" dog.wav --seed 7

The command `woosh generate` does the same with more options.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch

from woosh import WooshPipeline, __version__
from woosh.audio import write_audio


def main(argv: Sequence[str] | None = None) -> None:
    """Generate a sound and write it with its prompt and seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="model folder")
    parser.add_argument("prompt")
    parser.add_argument("output", help=".wav, .flac or .ogg file")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)

    pipeline = WooshPipeline.from_pretrained(arguments.model, local_files_only=True)
    generator = torch.Generator().manual_seed(arguments.seed)
    audio = pipeline(arguments.prompt, seconds=arguments.seconds, generator=generator).audios[0]
    metadata = {
        "prompt": arguments.prompt,
        "seed": arguments.seed,
        "model": arguments.model,
        "version": __version__,
    }
    write_audio(arguments.output, audio, pipeline.sample_rate, metadata)
    print(f"{arguments.output}  {arguments.seconds:g} s  seed {arguments.seed}")


if __name__ == "__main__":
    main()
