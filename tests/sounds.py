"""Short sounds in files, for the tests that evaluate folders."""

import json
from pathlib import Path

import numpy as np
import torch

from woosh.audio import write_audio

RATE = 48_000


def sound(seed: int, seconds: float = 0.5, pitch: float | None = None) -> np.ndarray:
    """A decaying tone in coloured noise (1, S), different for every seed."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = rng.uniform(200, 4000) if pitch is None else pitch
    tone = np.sin(2 * np.pi * pitch * time) * np.exp(-rng.uniform(2, 20) * time)
    hiss = np.convolve(rng.standard_normal(len(time)), np.ones(int(rng.integers(1, 30))), "same")
    mixed = tone + rng.uniform(0.01, 0.5) * hiss / np.abs(hiss).max()
    return (0.6 * mixed / np.abs(mixed).max())[None].astype(np.float32)


def write_sounds(folder: Path, seeds: range, seconds: float = 0.5) -> Path:
    """One file per seed, `clip-SEED.wav`."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        write_audio(folder / f"clip-{seed}.wav", sound(seed, seconds), RATE)
    return folder


def first_part(shared: Path, folder: Path) -> Path:
    """A manifest of the recordings (part 1) from which the built-in models' goals were set.

    The data has grown since those models were trained: their goals are measured on what they were set for.
    """
    manifest = shared / "data" / "sfx" / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    kept = [
        json.dumps(row | {"file": str((manifest.parent / row["file"]).resolve())})
        for row in rows
        if row["part"] == 1
    ]
    target = folder / "part_1.jsonl"
    target.write_text("\n".join(kept), encoding="utf-8")
    return target


def tone(frequency: float, seconds: float = 1.0) -> torch.Tensor:
    """A sine (S,) of half the full level at 48 kHz."""
    time = torch.arange(round(48_000 * seconds)) / 48_000
    return 0.5 * torch.sin(2 * torch.pi * frequency * time)


def sine(seconds: float = 0.5, amplitude: float = 0.5, channels: int = 1) -> np.ndarray:
    """A sine at 997 Hz and 48 kHz, (C, S)."""
    moments = np.arange(round(seconds * 48_000)) / 48_000
    wave = amplitude * np.sin(2 * np.pi * 997 * moments)
    return np.tile(wave, (channels, 1)).astype(np.float32)
