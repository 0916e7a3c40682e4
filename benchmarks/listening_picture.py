"""Mel spectrograms of recordings beside what autoencoders keep of them, a row for each recording.

    python benchmarks/listening_picture.py FILE ... --model NAME|DIR [NAME|DIR ...] [--seconds S] [--out FILE.png]

The first column is the recording, each further one goes through those latents of a model that its generator makes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from woosh.command_line import missing_extra

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image
except ImportError as error:
    sys.exit(
        f"listening_picture: error: {missing_extra('pictures need matplotlib', 'plot')} ({error})"
    )

from woosh.audio import read_audio
from woosh.audio.spectra import hertz_to_mel, magnitudes, mel_filters
from woosh.autoencoder import load_autoencoder
from woosh.autoencoder.reconstruction import reconstruct_generated
from woosh.catalogue import find_model, part_folders
from woosh.metrics.reconstruction import scale_peak

RATE = 48_000
BANDS = 128
RANGE = 80.0  # dB below the recording's loudest point that are shown
TICKS = (100, 1000, 5000, 20_000)  # Hz


def folder_of(model: str) -> Path:
    """An autoencoder's own folder, or that of a built-in model or a pipeline folder."""
    alone = (Path(model) / "config.json").is_file()
    return Path(model) if alone else part_folders(find_model(model))["autoencoder"]


def mel_magnitudes(sound: Tensor) -> Tensor:
    """Samples (S,) -> magnitudes in mel bands (BANDS, T)."""
    return mel_filters(RATE, 2048, BANDS) @ magnitudes(sound, 2048, 512)


def draw(rows: dict[str, dict[str, Tensor]]) -> Image.Image:
    """A picture of sounds (S,), by the row's name and the column's."""
    columns = list(next(iter(rows.values())))
    size = (3.2 * len(columns), 1.7 * len(rows) + 0.4)
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    heights = hertz_to_mel(torch.tensor(TICKS, dtype=torch.float32)).tolist()
    highest = float(hertz_to_mel(torch.tensor(RATE / 2)))
    for row, (name, sounds) in enumerate(rows.items()):
        loudest = mel_magnitudes(sounds[columns[0]]).max()
        for column, title in enumerate(columns):
            axes, sound = grid[row][column], sounds[title]
            decibels = 20 * (mel_magnitudes(sound) / loudest).clamp(min=1e-6).log10()
            axes.imshow(
                decibels,
                origin="lower",
                aspect="auto",
                extent=(0, len(sound) / RATE, 0, highest),
                vmin=-RANGE,
                vmax=0,
                cmap="magma",
                interpolation="nearest",
            )
            axes.set_yticks(heights, [f"{tick / 1000:g}" for tick in TICKS] if column == 0 else [])
            axes.tick_params(labelsize=7)
            if row == 0:
                axes.set_title(title, fontsize=9)
        grid[row][0].set_ylabel(f"{name}\nkHz", fontsize=8)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("files", nargs="+", help="recordings, each as FILE or NAME=FILE")
    add("--model", nargs="+", required=True, help="each as MODEL or NAME=MODEL")
    add("--seconds", type=float, default=4.0, help="longest part of a recording")
    add("--out", type=Path, default=Path("listening.png"))
    options = parser.parse_args(arguments)
    models = {}
    for named in options.model:
        name, _, model = named.rpartition("=")
        models[name or model] = load_autoencoder(folder_of(model), torch.float32).eval()
    rows = {}
    for named in options.files:
        name, _, file = named.rpartition("=")
        sound = torch.from_numpy(read_audio(file, RATE, longest_seconds=options.seconds))
        sound = scale_peak(sound[:1])
        kept = {
            title: torch.from_numpy(reconstruct_generated(model, sound.numpy()))[0]
            for title, model in models.items()
        }
        rows[name or Path(file).stem] = {"recording": sound[0], **kept}
    picture = draw(rows).quantize(256, dither=Image.Dither.NONE)
    picture.save(options.out, optimize=True)
    print(f"{options.out}: {picture.width} x {picture.height}")


if __name__ == "__main__":
    main()
