"""How many sounds of many prompts are silent, or the same from beginning to end.

    python benchmarks/silent_sounds.py --manifest FILE [--model NAME|DIR] [--prompts N] [--seconds S] [--first-seed N]

The prompts are captions, equally far from each other in the manifest, each generated with a seed of its own. A sound is
silent if its mean level is below -60 dB of full scale, and constant if no mel band changes by more than half a decibel (its
deviation over time). Printed are the counts, these sounds, and the quantiles of the levels.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from woosh.audio.spectra import magnitudes, mel_filters
from woosh.catalogue import DEFAULT_MODEL, find_model
from woosh.data.manifests import read_objects
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request

SILENT = -60.0  # dB of full scale
CONSTANT = 0.5  # dB
UNHEARD = 50.0  # dB below the loudest place of a sound: what is there does not count
FLOOR = 1e-6
BANDS = 64


class Measured(NamedTuple):
    """A sound's mean level in dB of full scale, and the deviation over time, in dB, of the band that changes most."""

    level: float
    change: float


def measure(audio: Tensor, sample_rate: int) -> Measured:
    """Of audio (S,)."""
    level = 20 * audio.square().mean().sqrt().clamp_min(FLOOR).log10()
    size = round(sample_rate / 50)
    bands = mel_filters(sample_rate, 2 * size, BANDS) @ magnitudes(audio, 2 * size, size)
    decibels = 20 * bands.clamp_min(FLOOR).log10()[:, 2:-2]  # (bands, frames), whole ones
    decibels = decibels.clamp_min(float(decibels.max()) - UNHEARD)
    return Measured(float(level), float(decibels.std(dim=1).max()))


def captions(manifest: Path, count: int) -> list[str]:
    """`count` first captions, equally far from each other.

    Raises:
        ValueError: there are not so many.
    """
    texts = [row["captions"][0] for _, row in read_objects(manifest)]
    if len(texts) < count:
        raise ValueError(f"{manifest} has {len(texts)} captions: ask for as many --prompts at most")
    return [texts[number * len(texts) // count] for number in range(count)]


def main() -> None:
    """Generate and count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--manifest", type=Path, required=True, help="JSON lines with captions")
    add("--model", default=DEFAULT_MODEL, metavar="NAME|DIR")
    add("--prompts", type=int, default=1000)
    add("--seconds", type=float, default=1.0)
    add("--first-seed", type=int, default=0)
    options = parser.parse_args()
    prompts = captions(options.manifest, options.prompts)
    sampler = load_sampler(find_model(options.model))
    found = []
    for number, prompt in enumerate(tqdm(prompts)):
        request = Request(prompt, seconds=options.seconds, seed=options.first_seed + number)
        found.append(measure(sampler(request)[0, 0], sampler.sample_rate))
    faults = {
        "silent": [p for p, m in zip(prompts, found, strict=True) if m.level < SILENT],
        "constant": [p for p, m in zip(prompts, found, strict=True) if m.change < CONSTANT],
    }
    for name, named in faults.items():
        print(
            f"{len(named)} of {len(prompts)} sounds are {name}{': ' if named else ''}{'; '.join(named)}"
        )
    levels = torch.tensor([m.level for m in found])
    shares = torch.tensor([0.0, 0.05, 0.5, 0.95, 1.0])
    values = ", ".join(f"{value:.1f}" for value in levels.quantile(shares).tolist())
    print(f"mean levels in dB of full scale, least, 5 %, half, 95 % and greatest: {values}")


if __name__ == "__main__":
    main()
