"""Text to audio in the browser, on this machine alone.

    python demos/text_to_audio.py [--model NAME|DIR] [--device auto|cpu|cuda|mps] [--port N]

Needs the `demo` extra (gradio, matplotlib).
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
import numpy as np
from gradio.themes import Default
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from woosh import audio
from woosh.catalogue import DEFAULT_MODEL, describe_model, find_model
from woosh.command_line import Parser, run_to_exit_code
from woosh.generation.loading import load_model
from woosh.generation.request import Request, clean_text
from woosh.generation.sampling import Sampler

LONGEST = 60.0  # seconds that the page offers
VARIATIONS = 4
MOST_CHARACTERS = 400  # of a text; browsers are told, and others may not ask
MOST_WAITING = 32  # requests; further ones are refused at once
LARGEST = "1mb"  # upload: this page takes none
MAX_SEED = 2**32 - 1  # a browser's numbers are exact up to 2^53
KEEP_SECONDS = 3600  # files older than that are removed
EXAMPLES = ("a dog barking", "rain on a tin roof", "sea waves", "a clock ticking", "crackling fire")


def picture(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Draw waveform and spectrogram of (1, S) audio as an RGB image (H, W, 3)."""
    # A figure of its own, not pyplot's: requests run in several threads.
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    wave_axes, spectrum_axes = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    wave_axes.plot(np.arange(sound.shape[1]) / sample_rate, sound[0], linewidth=0.5)
    wave_axes.set(ylim=(-1, 1), ylabel="amplitude")
    seconds = sound.shape[1] / sample_rate
    spectrum_axes.imshow(
        decibels(sound[0]),
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, sample_rate / 2),
        vmin=-100,
        vmax=-10,
        cmap="magma",
    )
    spectrum_axes.set(xlabel="seconds", ylabel="Hz")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def decibels(sound: np.ndarray, window: int = 1024, hop: int = 256) -> np.ndarray:
    """Spectrogram (F, T) of (S,) samples in dB, 0 being a sine at full scale, silence -140."""
    padded = np.pad(sound, (0, max(0, window - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1)) * 4 / window
    return 20 * np.log10(np.maximum(spectrum.T, 1e-7))


def build_demo(sampler: Sampler, model_name: str = DEFAULT_MODEL) -> gr.Blocks:
    """Build the page around a loaded model.

    Args:
        sampler: on the device to compute on.
        model_name: stored in the files' metadata.
    """
    folder = tempfile.TemporaryDirectory(prefix="woosh-demo-")

    def generate(
        prompt: str,
        negative: str,
        seconds: float,
        steps: int,
        guidance: float,
        seed: int | None,
        variations: int,
    ) -> list[Any]:
        """Return the seeds used, then a file and a picture for each of the four places."""
        if seed is None or seed < 0:
            seed = secrets.randbelow(MAX_SEED - VARIATIONS)
        seeds = [int(seed) + index for index in range(int(variations))]
        remove_old_files(Path(folder.name))
        places: list[Any] = []
        try:
            check_length(prompt, negative)
            prompt = clean_text(prompt or "", "prompt")
            for one_seed in seeds:
                request = Request(
                    prompt,
                    negative_prompt=" ".join((negative or "").split()) or None,
                    seconds=seconds,
                    steps=int(steps),
                    guidance_scale=guidance,
                    seed=one_seed,
                )
                sound = sampler(request)[0].cpu().numpy()
                name = f"{audio.file_stem(prompt)}-{one_seed}-{secrets.token_hex(3)}.wav"
                path = Path(folder.name) / name
                audio.write_audio(path, sound, sampler.sample_rate, request.record(model_name))
                places += [
                    gr.Audio(value=str(path), label=f"seed {one_seed}", visible=True),
                    gr.Image(value=picture(sound, sampler.sample_rate), visible=True),
                ]
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from error
        empty = [gr.Audio(value=None, visible=False), gr.Image(value=None, visible=False)]
        places += empty * (VARIATIONS - len(seeds))
        return [", ".join(map(str, seeds)), *places]

    with gr.Blocks(
        title="Woosh", analytics_enabled=False, delete_cache=(KEEP_SECONDS, KEEP_SECONDS)
    ) as demo:
        gr.Markdown("# Woosh\nSound effects from text, computed on this machine.")
        with gr.Row():
            with gr.Column():
                inputs = build_inputs(sampler)
                button = gr.Button("Generate", variant="primary", elem_id="generate")
                gr.Examples([[example] for example in EXAMPLES], inputs=[inputs[0]])
            with gr.Column():
                seeds = gr.Textbox(label="Seeds used", interactive=False, elem_id="seeds")
                places: list[gr.Audio | gr.Image] = []
                for index in range(VARIATIONS):
                    places += [
                        gr.Audio(
                            type="filepath",
                            interactive=False,
                            visible=False,
                            elem_id=f"sound-{index}",
                            buttons=["download"],
                        ),
                        gr.Image(
                            interactive=False,
                            visible=False,
                            show_label=False,
                            format="png",
                            elem_id=f"picture-{index}",
                            buttons=["download", "fullscreen"],
                            alt_text="waveform and spectrogram",
                        ),
                    ]
        gr.on(
            [button.click, inputs[0].submit],
            generate,
            inputs,
            [seeds, *places],
            api_name="generate",
        )
    return demo


def build_inputs(sampler: Sampler) -> list[Any]:
    """Build the fields of a request, in the order of `generate`'s arguments, with their limits."""
    few_step = sampler.few_step
    weakest, strongest = sampler.settings.guidance_range or (0, 15)
    return [
        gr.Textbox(
            label="Prompt",
            placeholder="a dog barking",
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
        gr.Slider(0.1, LONGEST, 5.0, step=0.1, label="Seconds", elem_id="seconds"),
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
            maximum=MAX_SEED - VARIATIONS,
            elem_id="seed",
        ),
        gr.Slider(1, VARIATIONS, 1, step=1, label="Variations", elem_id="variations"),
    ]


def check_length(*texts: str | None) -> None:
    """Raise a ValueError for a text that is longer than the page lets anyone write."""
    longest = max(len(text or "") for text in texts)
    if longest > MOST_CHARACTERS:
        raise ValueError(f"{longest} characters are too long: up to {MOST_CHARACTERS} are taken")


def remove_old_files(folder: Path) -> None:
    """Remove the sounds that nobody can be waiting for any more."""
    for path in folder.iterdir():
        if path.stat().st_mtime < time.time() - KEEP_SECONDS:
            path.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Load a model and serve the page on the loopback address."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|DIR")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument(
        "--share", action="store_true", help="also open a public address through gradio's servers"
    )
    arguments = parser.parse_args(argv)
    info = describe_model(find_model(arguments.model))
    sampler = load_model(info, arguments.device, "auto")
    # The system's fonts: gradio's own theme fetches some from the network.
    theme = Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    build_demo(sampler, info.name).queue(max_size=MOST_WAITING).launch(
        server_name="127.0.0.1",
        server_port=arguments.port,
        share=arguments.share,
        theme=theme,
        max_file_size=LARGEST,
    )


if __name__ == "__main__":
    sys.exit(run_to_exit_code(Path(__file__).stem, main))
