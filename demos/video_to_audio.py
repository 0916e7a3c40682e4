"""Sound for a video in the browser, on this machine alone.

    python demos/video_to_audio.py [--model NAME|DIR] [--watcher FILE|DIR] [--device auto|cpu|cuda|mps] [--port N]

Needs the `demo` extra (gradio).
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Read when gradio is imported: the demo reports to nobody.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
from gradio.themes import Default

from woosh import audio
from woosh.catalogue import DEFAULT_VIDEO_MODEL, describe_model, find_model
from woosh.command_line import Parser, run_to_exit_code
from woosh.generation.loading import load_model
from woosh.generation.request import Request, clean_text
from woosh.generation.sampling import Sampler
from woosh.video import Video, open_video
from woosh.video.muxing import CEILING, Soundtrack, check_output, write_soundtrack
from woosh.video.watching import Watcher, load_watcher, watch_video

LARGEST = "200mb"  # upload
LONGEST = 60.0  # seconds of a video
TAKES = 4
MOST_CHARACTERS = 400  # of a text; browsers are told, and others may not ask
MOST_WAITING = 16  # requests; further ones are refused at once
PLAYED = (".mp4", ".webm")  # what browsers play
MAX_SEED = 2**32 - 1  # a browser's numbers are exact up to 2^53
KEEP_SECONDS = 3600  # files older than that are removed


def build_demo(
    sampler: Sampler, watcher: Watcher, model_name: str = DEFAULT_VIDEO_MODEL
) -> gr.Blocks:
    """Build the page around a loaded model.

    Args:
        sampler: on the device to compute on, with a transformer that sees.
        watcher: what it sees with.
        model_name: stored in the files' metadata.
    """
    folder = tempfile.TemporaryDirectory(prefix="woosh-demo-")

    def dub(
        upload: str | None,
        prompt: str,
        negative: str,
        steps: int,
        guidance: float,
        seed: int | None,
        takes: int,
        mix: bool,
        gain: float,
    ) -> list[Any]:
        """Return the seeds used, then a video for each of the four places."""
        if upload is None:
            raise gr.Error("Choose a video first", print_exception=False)
        if seed is None or seed < 0:
            seed = secrets.randbelow(MAX_SEED - TAKES)
        seeds = [int(seed) + index for index in range(int(takes))]
        remove_old_files(Path(folder.name))
        paths = []
        try:
            check_length(prompt, negative)
            video, container = look_at(Path(upload), mix)
            features = watch_video(watcher, video)
            for one_seed in seeds:
                request = Request(
                    clean_text(prompt, "prompt") if (prompt or "").strip() else "",
                    negative_prompt=" ".join((negative or "").split()) or None,
                    seconds=video.seconds,
                    steps=int(steps),
                    guidance_scale=guidance,
                    seed=one_seed,
                    video=features,
                )
                sound = sampler(request)[0].cpu().numpy()
                path = Path(folder.name) / f"dubbed-{one_seed}-{secrets.token_hex(3)}{container}"
                soundtrack = Soundtrack(
                    audio.peak_guard(sound, CEILING),
                    sampler.sample_rate,
                    mix_decibels=gain if mix else None,
                )
                record = {"video": video.path.name} | request.record(model_name)
                write_soundtrack(video, soundtrack, path, metadata=record)
                paths.append(path)
        except (ValueError, OSError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        places = [
            gr.Video(value=str(path), label=f"seed {one_seed}", visible=True)
            for path, one_seed in zip(paths, seeds, strict=True)
        ]
        empty = [gr.Video(value=None, visible=False)] * (TAKES - len(seeds))
        return [", ".join(map(str, seeds)), *places, *empty]

    with gr.Blocks(
        title="Woosh", analytics_enabled=False, delete_cache=(KEEP_SECONDS, KEEP_SECONDS)
    ) as demo:
        gr.Markdown("# Woosh\nSound for a video, computed on this machine.")
        with gr.Row():
            with gr.Column():
                inputs = build_inputs(sampler)
                button = gr.Button("Make the sound", variant="primary", elem_id="dub")
            with gr.Column():
                seeds = gr.Textbox(label="Seeds used", interactive=False, elem_id="seeds")
                places = [
                    gr.Video(
                        interactive=False,
                        visible=False,
                        elem_id=f"take-{index}",
                        buttons=["download"],
                    )
                    for index in range(TAKES)
                ]
        button.click(dub, inputs, [seeds, *places], api_name="dub")
    return demo


def build_inputs(sampler: Sampler) -> list[Any]:
    """Build the fields of a request, in the order of `dub`'s arguments, with their limits."""
    few_step = sampler.few_step
    weakest, strongest = sampler.settings.guidance_range or (0, 15)
    return [
        gr.Video(
            label=f"Video, up to {LONGEST:g} s", sources=["upload"], elem_id="video", format=None
        ),
        gr.Textbox(
            label="Prompt",
            info="May stay empty: then the picture alone says what to hear.",
            max_length=MOST_CHARACTERS,
            elem_id="prompt",
        ),
        gr.Textbox(
            label="Negative prompt",
            info="Few-step models take none." if few_step else "What not to hear.",
            interactive=not few_step,
            max_length=MOST_CHARACTERS,
            elem_id="negative",
        ),
        gr.Slider(
            1, 16 if few_step else 100, sampler.steps, step=1, label="Steps", elem_id="steps"
        ),
        gr.Slider(
            weakest,
            strongest,
            sampler.guidance_scale,
            step=0.1,
            label="Guidance (1 = none)",
            elem_id="guidance",
        ),
        gr.Number(
            -1,
            label="Seed (-1 = random)",
            precision=0,
            minimum=-1,
            maximum=MAX_SEED - TAKES,
            elem_id="seed",
        ),
        gr.Slider(1, TAKES, 1, step=1, label="Takes", elem_id="takes"),
        gr.Checkbox(False, label="Keep the video's own sound under it", elem_id="mix"),
        gr.Slider(-60, 24, 0, step=1, label="Gain of the new sound over it, dB", elem_id="gain"),
    ]


def look_at(path: Path, mix: bool) -> tuple[Video, str]:
    """An uploaded video, and a container that browsers play and that holds its picture as it is.

    Raises:
        ValueError: no video, a longer one than the page takes, or one that no browser plays.
    """
    video = open_video(path)
    if video.seconds > LONGEST:
        raise ValueError(
            f"The video lasts {video.seconds:.0f} s; this page takes up to {LONGEST:g} s, "
            "`woosh dub` any part of a longer one"
        )
    problems = []
    for container in PLAYED:
        try:
            check_output(video, path.with_suffix(f".new{container}"), mix=mix)
        except ValueError as error:
            problems.append(str(error))
        else:
            return video, container
    raise ValueError(problems[0])


def check_length(*texts: str | None) -> None:
    """Raise a ValueError for a text that is longer than the page lets anyone write."""
    longest = max(len(text or "") for text in texts)
    if longest > MOST_CHARACTERS:
        raise ValueError(f"{longest} characters are too long: up to {MOST_CHARACTERS} are taken")


def remove_old_files(folder: Path) -> None:
    """Remove the videos that nobody can be waiting for any more."""
    for path in folder.iterdir():
        if path.stat().st_mtime < time.time() - KEEP_SECONDS:
            path.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Load a model and serve the page on the loopback address."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default=DEFAULT_VIDEO_MODEL, metavar="NAME|DIR")
    add("--watcher", metavar="FILE|DIR", help="what sees, if the model's folder holds nothing")
    add("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    add("--port", type=int, default=7860)
    add("--share", action="store_true", help="also open a public address through gradio's servers")
    arguments = parser.parse_args(argv)
    info = describe_model(find_model(arguments.model))
    place = arguments.watcher or info.visual
    if info.video_channels is None or place is None:
        parser.error(f"{info.name} does not see: take one that does, or name a --watcher")
    sampler = load_model(info, arguments.device, "auto")
    watcher = load_watcher(place, sampler.device, info.video_channels)
    # The system's fonts: gradio's own theme fetches some from the network.
    theme = Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    build_demo(sampler, watcher, info.name).queue(max_size=MOST_WAITING).launch(
        server_name="127.0.0.1",
        server_port=arguments.port,
        share=arguments.share,
        theme=theme,
        max_file_size=LARGEST,
    )


if __name__ == "__main__":
    sys.exit(run_to_exit_code(Path(__file__).stem, main))
