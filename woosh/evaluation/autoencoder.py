"""Evaluation of an autoencoder: recordings and what it makes of them."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor

from woosh.autoencoder import Autoencoder
from woosh.autoencoder.reconstruction import reconstruct
from woosh.checksums import hash_files
from woosh.evaluation.clip_sets import Reading, list_clips, read_clips
from woosh.evaluation.generation import reading_rules, software
from woosh.metrics.onsets import onset_f_measure, onset_times
from woosh.metrics.reconstruction import (
    loudness_error,
    mel_distance,
    multi_resolution_stft_distance,
    scale_peak,
    si_sdr,
    stft_distance,
)

UNITS = {
    "mel_distance": "decades",
    "stft_distance": "decades",
    "multi_resolution_stft_distance": "",
    "si_sdr": "dB",
    "loudness_error": "LU",
    "onset_f_measure": "",
}


def evaluate_autoencoder(
    autoencoder: Autoencoder, weights: Path, audio: Path, reading: Reading | None = None
) -> dict[str, Any]:
    """Pass the clips of a folder through an autoencoder and measure what is left of them.

    Clips are mono at the autoencoder's rate and peak-scaled to 0.8. A metric that a clip does not
    allow, such as the SI-SDR of silence, is left out of its mean and counted.

    Args:
        autoencoder: on the device to compute on, in float32.
        weights: its folder, of which the hash is told.
        audio: folder; audio files anywhere below it are the clips.
        reading: how clips are read; its cache is not used.

    Returns:
        The result, with `metrics` over all clips, `clips` one by one and `warnings`.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: it holds no readable clip, or a reconstruction is not finite.
    """
    reading = reading or Reading()
    rate = autoencoder.config.sample_rate
    clips = list_clips(audio, reading.progress)
    items = read_clips(clips, rate, reading)
    read = reading.progress(items, len(clips.files), "reconstructing")
    measured: list[dict[str, Any]] = []
    unreadable = []
    for file, item in zip(clips.files, read, strict=True):
        if not isinstance(item, Tensor):
            unreadable.append(f"{file.name} ({item})")
            continue
        measured.append({"file": file.name, **measure_clip(autoencoder, item, str(file.path))})
    if not measured:
        raise ValueError(f"none of the clips in {audio} can be read: {unreadable[0]}")
    files = sorted(weights.rglob("*.safetensors"))
    return {
        "kind": "autoencoder",
        "software": software(),
        "audio": {**reading_rules(reading.crop), "sample_rate": rate, "peak": 0.8},
        "model": {"folder": str(weights), "weights": hash_files(files)},
        "set": {"folder": str(audio), "files": len(clips.files), "content": clips.content},
        "metrics": {
            name: {"unit": unit, **_summary([clip[name] for clip in measured])}
            for name, unit in UNITS.items()
        },
        "warnings": _warnings(measured, unreadable),
        "clips": measured,
    }


@torch.inference_mode()
def measure_clip(autoencoder: Autoencoder, audio: Tensor, title: str) -> dict[str, float | None]:
    """All metrics of one clip (S,) at the autoencoder's rate; None where the clip allows none.

    Raises:
        ValueError: the reconstruction is not finite.
    """
    rate = autoencoder.config.sample_rate
    reference = scale_peak(audio)
    estimate = torch.from_numpy(reconstruct(autoencoder, reference[None].numpy())[0])
    if not estimate.isfinite().all():
        raise ValueError(f"the reconstruction of {title} is not finite")
    values = {
        "mel_distance": mel_distance(reference, estimate, rate),
        "stft_distance": stft_distance(reference, estimate),
        "multi_resolution_stft_distance": multi_resolution_stft_distance(reference, estimate),
        "si_sdr": si_sdr(reference, estimate),
        "loudness_error": loudness_error(reference, estimate, rate),
    }
    numbers = {name: float(value) for name, value in values.items()}
    onsets = (onset_times(reference, rate), onset_times(estimate, rate))
    return {
        "seconds": round(len(audio) / rate, 4),
        **{name: value if value == value else None for name, value in numbers.items()},
        "onset_f_measure": onset_f_measure(*onsets),
    }


def _summary(values: list[float | None]) -> dict[str, float | int | None]:
    """Mean and median, which do not depend on the order; clips without a value are left out."""
    there = [value for value in values if value is not None]
    return {
        "mean": fmean(there) if there else None,
        "median": median(there) if there else None,
        "clips": len(there),
        "left_out": len(values) - len(there),
    }


def _warnings(measured: list[dict[str, Any]], unreadable: list[str]) -> list[dict[str, str]]:
    warnings = []
    if unreadable:
        message = f"{len(unreadable)} left out: {'; '.join(unreadable[:10])}"
        warnings.append({"name": "unreadable", "message": message})
    for name in UNITS:
        missing = [clip["file"] for clip in measured if clip[name] is None]
        if missing:
            message = f"{len(missing)} silent clips have none: {'; '.join(missing[:10])}"
            warnings.append({"name": f"no_{name}", "message": message})
    return warnings
