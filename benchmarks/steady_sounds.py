"""Whether steady sounds last as long as they were asked for.

    python benchmarks/steady_sounds.py [--model NAME|DIR] [--seconds S ...] [--seeds N] [--first-seed N]

Every prompt is generated with every seed at every length. Printed are, for each prompt and length, the
level of the quietest and of the last tenth relative to the loudest one, the worst of all seeds, and in the end
how many clips have a tenth that is 20 or 30 dB below.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from woosh.catalogue import DEFAULT_MODEL, find_model
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler

PROMPTS = (
    "rain falling",
    "heavy rain on a roof",
    "sea waves",
    "waterfall",
    "wind blowing",
    "crackling fire",
    "engine running",
    "helicopter flying",
    "vacuum cleaner",
    "people applauding",
)
TENTHS = 10
FLOOR = 1e-6


def tenths(sampler: Sampler, prompt: str, seconds: float, seed: int) -> Tensor:
    """Levels of the ten tenths of a clip in dB relative to the loudest one (10,)."""
    audio = sampler(Request(prompt, seconds=seconds, seed=seed))[0, 0]
    levels = torch.stack([part.square().mean().sqrt() for part in audio.chunk(TENTHS)])
    return 20 * (levels / levels.max()).clamp(min=FLOOR).log10()


def main(arguments: argparse.Namespace) -> None:
    """Generate and measure."""
    sampler = load_sampler(find_model(arguments.model), torch.device("cpu"), torch.float32)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    quietest: list[float] = []
    for seconds in arguments.seconds:
        for prompt in PROMPTS:
            levels = [tenths(sampler, prompt, seconds, seed) for seed in seeds]
            quietest += [float(level.min()) for level in levels]
            worst = min(float(level.min()) for level in levels)
            last = min(float(level[-1]) for level in levels)
            print(f"{seconds:4g} s  {prompt:22}  quietest {worst:6.1f} dB  last {last:6.1f} dB")
    for limit in (20, 30):
        below = sum(level < -limit for level in quietest)
        print(
            f"{below} of {len(quietest)} clips have a tenth of their length that is more than {limit} dB quieter than their loudest tenth"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.5, 5.0, 10.0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1000)
    main(parser.parse_args())
