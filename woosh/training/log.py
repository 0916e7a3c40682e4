"""The record of a run: one JSON object per line, and the same for TensorBoard or Weights & Biases."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import yaml
from accelerate import Accelerator

from woosh.command_line import missing_extra
from woosh.outside_files import MOST_MANIFEST_BYTES, read_text, shown
from woosh.training.config import plain_values
from woosh.training.outputs import LOG_FILE, SETTINGS_FILE
from woosh.whole_files import write_text

PICTURE_WINDOW = 0.02  # seconds of a spectrogram's window, about
STEP = re.compile(
    r'\{"step": (\d{1,18})[,}]'
)  # how a row begins; what follows may be NaN, which is no JSON
TRACKERS = {"tensorboard": "train", "wandb": "wandb"}  # and the extra that brings each
# Dense bfloat16 operations per second by the makers' data sheets, of which the utilisation is the share used.
PEAKS = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "4090": 165e12,
    "L4": 121e12,
}


def check_trackers(names: tuple[str, ...]) -> None:
    """Raise unless all trackers are known and installed.

    Raises:
        ValueError: an unknown name.
        ImportError: a package is missing.
    """
    for name in names:
        if name not in TRACKERS:
            raise ValueError(f"trackers has {name!r}; known are {', '.join(TRACKERS)}")
        if importlib.util.find_spec(name) is None:
            raise missing_extra(f"the tracker {name} is not installed", TRACKERS[name])


def _rows_until(path: Path, start: int) -> list[str]:
    """The rows of a log, if there is one, of the first `start` steps."""
    text = read_text(path, MOST_MANIFEST_BYTES) if path.is_file() else ""
    rows = text.split("\n")[:-1]  # a kill may tear the last one
    kept = []
    for number, row in enumerate(rows, start=1):
        step = STEP.match(row)
        if step is None:
            raise ValueError(f"{path}, line {number}: {shown(row)} is no row of a log: delete it")
        if int(step[1]) <= start:
            kept.append(row)
    return kept


class Log:
    """One JSON object per line with the step, its scalars and the throughput.

    Args:
        output: folder of the run; the configuration is written there too.
        config: the recipe's dataclass.
        start: steps that a resumed run had done at its checkpoint: an earlier log is kept up to there, since a
            killed run may have written rows that are done again. 0 starts a new one.
        accelerator: whose trackers get the same, or None.

    Raises:
        ValueError: an earlier log is damaged; with the line.
        OSError: the files cannot be written.
    """

    def __init__(
        self, output: Path, config: Any, start: int = 0, accelerator: Accelerator | None = None
    ) -> None:
        output.mkdir(parents=True, exist_ok=True)
        settings = yaml.safe_dump(plain_values(config), sort_keys=False)
        write_text(output / SETTINGS_FILE, settings)
        self.path = output / LOG_FILE
        write_text(self.path, "".join(f"{row}\n" for row in _rows_until(self.path, start)))
        self.accelerator = accelerator
        self.begun = time.perf_counter()

    def write(
        self,
        step: int,
        scalars: Mapping[str, float],
        amount: float = 0.0,
        unit: str = "clips",
        operations: float = 0.0,
    ) -> None:
        """Append a row.

        Args:
            step: steps done.
            scalars: what to record, plain numbers.
            amount: how much was processed since the last row that had an amount, in `unit`; 0 for a row without speed.
            unit: e.g. "clips".
            operations: floating-point operations of one process in the same time.
        """
        values = {name: round(value, 5) for name, value in scalars.items()}
        if amount:
            now = time.perf_counter()
            seconds, self.begun = now - self.begun, now
            values[f"{unit}_per_second"] = round(amount / seconds, 3)
            values |= utilisation(operations / seconds)
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self.accelerator is not None:
            self.accelerator.log(values, step=step)

    def sound(self, step: int, name: str, audio: np.ndarray, sample_rate: int) -> None:
        """Hand a sound (S,) and its spectrogram to the trackers."""
        trackers = [] if self.accelerator is None else self.accelerator.trackers
        for tracker in trackers:
            picture = spectrogram_picture(audio, sample_rate)  # (H, W, 3) uint8
            if tracker.name == "tensorboard":
                tracker.writer.add_audio(name, audio[None], step, sample_rate)
                tracker.writer.add_image(name, picture, step, dataformats="HWC")
            else:
                import wandb  # type: ignore[import-not-found]

                values = {
                    name: wandb.Audio(audio, sample_rate),
                    f"{name}/spectrogram": wandb.Image(picture),
                }
                tracker.log(values, step=step)


def utilisation(operations_per_second: float) -> dict[str, float]:
    """Speed in TFLOP/s, the share of the device's peak where that is known, and the memory in GiB."""
    values = {}
    if operations_per_second:
        values["tflops"] = float(f"{operations_per_second / 1e12:.4g}")
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        peak = next((peak for key, peak in PEAKS.items() if key in name), None)
        if operations_per_second and peak is not None:
            values["mfu"] = round(operations_per_second / peak, 4)
        values["memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 3)
    else:
        values["memory_gib"] = round(psutil.Process().memory_info().rss / 2**30, 3)
    return values


def spectrogram_picture(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Audio (S,) -> levels from -80 to 0 dB as a grey picture (bins, frames, 3) uint8, low tones at the bottom."""
    size = 2 ** max(5, round(math.log2(sample_rate * PICTURE_WINDOW)))
    samples = torch.from_numpy(np.pad(audio, (0, max(0, size - len(audio)))).astype(np.float32))
    spectrum = torch.stft(samples, size, window=torch.hann_window(size), return_complex=True).abs()
    level = 20 * torch.log10(spectrum / spectrum.max().clamp_min(1e-9) + 1e-9)
    grey = ((level.clamp(-80, 0) + 80) * (255 / 80)).to(torch.uint8).flip(0).numpy()
    return np.repeat(grey[..., None], 3, axis=2)
