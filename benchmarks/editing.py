"""Whether loops have a seam and extensions a step.

    python benchmarks/editing.py [--model NAME|DIR] [--prompts N] [--seconds S] [--seed N]

For each prompt a loop is made, and a sound that is then made half as long again. Printed are the jump, the distance of
spectra and the step in level at the loop's seam and at the extension's join, each beside the 99th percentile of the same
measure inside the sound, and in the end how many are within all three.
"""

from __future__ import annotations

import argparse

import torch

from woosh.catalogue import DEFAULT_MODEL, find_model
from woosh.generation.editing import filling
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.studio.extend import extend
from woosh.studio.joins import JoinError, join_error
from woosh.studio.loop import make_loop

PROMPTS = (
    "rain falling",
    "wind in trees",
    "a crackling fire",
    "an engine running",
    "ocean waves on a shore",
    "a machine humming",
    "birds singing outdoors",
    "people applauding",
    "a clock ticking",
    "a dog barking",
)


def row(prompt: str, kind: str, error: JoinError) -> str:
    """A line of the table."""
    measures = (
        (error.jump, error.jump_limit, ".4f"),
        (error.distance, error.distance_limit, ".1f"),
        (error.level, error.level_limit, ".1f"),
    )
    cells = " | ".join(f"{value:{form}} ({limit:{form}})" for value, limit, form in measures)
    return f"| {prompt} | {kind} | {cells} | {'no' if error.heard else 'yes'} |"


def main(arguments: argparse.Namespace) -> None:
    """Make and measure."""
    sampler = load_sampler(find_model(arguments.model), torch.device("cpu"), torch.float32)
    rate, seconds, seed = sampler.sample_rate, arguments.seconds, arguments.seed
    within: dict[str, list[bool]] = {"loop": [], "extension": []}
    print(
        "| prompt | made | jump | distance, dB | level, dB | within all |\n|---|---|---|---|---|---|"
    )
    for prompt in PROMPTS[: arguments.prompts]:
        request = Request(prompt, seconds=seconds, seed=seed)
        sound = sampler(filling(sampler, request))[0].numpy()
        further = Request(prompt, seconds=1.5 * seconds, seed=seed + 1)
        longer = extend(sampler, sound, rate, further)
        errors = {
            "loop": make_loop(sampler, request).error,
            "extension": join_error(longer, rate, sound.shape[1]),
        }
        for kind, error in errors.items():
            within[kind].append(not error.heard)
            print(row(prompt, kind, error), flush=True)
    for kind, fine in within.items():
        print(f"{sum(fine)} of {len(fine)}: {kind} within all three limits")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--prompts", type=int, default=len(PROMPTS))
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=1)
    main(parser.parse_args())
