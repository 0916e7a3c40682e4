"""The studio in the browser, on this machine alone: sounds from words, what is done with them, and sound for a video.

    python demos/studio.py [--model NAME|DIR] [--video-model NAME|DIR] [--device auto|cpu|cuda|mps] [--port N]

Needs the `demo` extra (gradio). What the page shows and does lies in the folder `studio_page`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from studio_page.handlers import Studio
from studio_page.look import STYLE, theme
from studio_page.tabs import KEEP_SECONDS, build_page
from woosh.catalogue import DEFAULT_MODEL, DEFAULT_VIDEO_MODEL, describe_model, find_model
from woosh.command_line import Parser, run_to_exit_code
from woosh.generation.loading import load_model
from woosh.studio.shelf import Shelf
from woosh.studio.workshop import Model, Workshop
from woosh.video.watching import load_watcher

MOST_WAITING = 16  # requests; further ones are refused at once
LARGEST = "200mb"  # upload


def main(argv: Sequence[str] | None = None) -> None:
    """Load the models and serve the page on the loopback address."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default=DEFAULT_MODEL, metavar="NAME|DIR", help="words to sound")
    add("--video-model", default=DEFAULT_VIDEO_MODEL, metavar="NAME|DIR", help="videos to sound")
    add(
        "--watcher", metavar="FILE|DIR", help="what sees, if the video model's folder holds nothing"
    )
    add("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    add("--port", type=int, default=7860)
    add("--share", action="store_true", help="also open a public address through gradio's servers")
    arguments = parser.parse_args(argv)
    info = describe_model(find_model(arguments.model))
    seeing = describe_model(find_model(arguments.video_model))
    place = arguments.watcher or seeing.visual
    if seeing.video_channels is None or place is None:
        parser.error(f"{seeing.name} does not see: take one that does, or name a --watcher")
    words = Model(load_model(info, arguments.device, "auto"), info)
    pictures = Model(load_model(seeing, arguments.device, "auto"), seeing)
    watcher = load_watcher(place, pictures.sampler.device, seeing.video_channels)
    with tempfile.TemporaryDirectory(prefix="woosh-studio-") as folder:
        workshop = Workshop(words, pictures, Shelf(Path(folder), KEEP_SECONDS))
        build_page(Studio(workshop, watcher)).queue(max_size=MOST_WAITING).launch(
            server_name="127.0.0.1",
            server_port=arguments.port,
            share=arguments.share,
            theme=theme(),
            css=STYLE,
            allowed_paths=[folder],
            max_file_size=LARGEST,
        )


if __name__ == "__main__":
    sys.exit(run_to_exit_code(Path(__file__).stem, main))
