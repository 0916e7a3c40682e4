"""The sound of a video with the Python API, in the fewest steps.

    python inference/video_to_audio.py woosh/models/woosh-small-video clip.mp4 with-sound.mp4 --prompt "a ball"

The command `woosh dub` does the same with more options.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from woosh import WooshPipeline, __version__
from woosh.audio import peak_guard
from woosh.video import open_video
from woosh.video.muxing import CEILING, Soundtrack, write_soundtrack
from woosh.video.watching import load_watcher, watch_video


def main(argv: Sequence[str] | None = None) -> None:
    """Make a sound for all of a video and write it with the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="model folder with a network that watches")
    parser.add_argument("video")
    parser.add_argument("output", help=".mp4, .mov, .mkv or .webm file")
    parser.add_argument("--prompt", default="", help="what to hear beside what is seen")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)

    pipeline = WooshPipeline.from_pretrained(arguments.model, local_files_only=True)
    watcher = load_watcher(arguments.model / "visual")
    video = open_video(arguments.video)
    features = watch_video(watcher, video)
    generator = torch.Generator().manual_seed(arguments.seed)
    sound = pipeline(
        arguments.prompt, seconds=video.seconds, video=features, generator=generator
    ).audios[0]
    metadata = {
        "prompt": arguments.prompt,
        "seed": arguments.seed,
        "model": arguments.model.name,
        "version": __version__,
    }
    sound = peak_guard(sound, CEILING)
    soundtrack = Soundtrack(sound, pipeline.sample_rate)
    write_soundtrack(video, soundtrack, arguments.output, metadata=metadata)
    print(f"{arguments.output}  {video.seconds:.2f} s  seed {arguments.seed}")


if __name__ == "__main__":
    main()
