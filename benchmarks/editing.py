"""Whether loops have a seam, extensions a step, and edits two.

    python benchmarks/editing.py [--model NAME|DIR] [--prompts N] [--seconds S] [--seed N]
    python benchmarks/editing.py --manifest FILE [--model NAME|DIR] [--prompts N] [--seed N]

For each prompt a loop is made, and a sound that is then made half as long again. Printed are the jump, the distance of
spectra and the step in level at the loop's seam and at the extension's join, each beside the 99th percentile of the same
measure inside the sound, and in the end how many are within all three.

With a manifest recordings are edited instead: the second from 1.5 to 2.5 of the steady ones of its validation split, in turn of the
quietest, which get a loud sound, and of the loudest, which get a quiet one. Printed are the steps in level at both joins: between
the means of the 50 ms before and after it, beside the limit, and in the end the mean and the largest of all steps.
"""

from __future__ import annotations

import argparse
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from woosh.audio import read_audio
from woosh.catalogue import DEFAULT_MODEL, find_model
from woosh.data.manifests import read_objects
from woosh.generation.editing import filling
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.studio.edit import edit
from woosh.studio.extend import extend
from woosh.studio.joins import JoinError, join_error
from woosh.studio.loop import make_loop
from woosh.studio.places import Region

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
LOUD = ("thunder", "an explosion", "a car horn", "people applauding", "an engine running")
QUIET = ("a clock ticking", "crickets at night", "leaves rustling", "a drop of water", "breathing")
PART = Region(1.5, 2.5)
EDITED = 4.0  # seconds of a recording
STEADY = 7.0  # dB that the levels of 100 ms deviate at most
SILENT = -70.0  # dB of full scale


class Recording(NamedTuple):
    """A sound (C, S), its median level in dB of full scale, and what it is."""

    level: float
    name: str
    sound: np.ndarray


def row(prompt: str, kind: str, error: JoinError) -> str:
    """A line of the table."""
    measures = (
        (error.jump, error.jump_limit, ".4f"),
        (error.distance, error.distance_limit, ".1f"),
        (error.level, error.level_limit, ".1f"),
    )
    cells = " | ".join(f"{value:{form}} ({limit:{form}})" for value, limit, form in measures)
    return f"| {prompt} | {kind} | {cells} | {'no' if error.heard else 'yes'} |"


def steady_recordings(manifest: Path, sample_rate: int) -> list[Recording]:
    """The first seconds of the steady recordings of the validation split, the quietest first."""
    found = []
    for _, fields in read_objects(manifest):
        if fields["split"] != "validation" or fields["seconds"] < EDITED:
            continue
        sound = read_audio(manifest.parent / fields["file"], sample_rate, longest_seconds=EDITED)
        power = np.square(sound[0].reshape(-1, sample_rate // 10)).mean(axis=1)
        levels = 10 * np.log10(power + 1e-12)
        if levels.std() < STEADY and np.median(levels) > SILENT:
            found.append(Recording(float(np.median(levels)), fields["captions"][0], sound))
    return sorted(found, key=lambda recording: recording.level)


def measure_edits(sampler: Sampler, manifest: Path, count: int, seed: int) -> None:
    """Edit quiet and loud recordings in turn, and print the steps at the joins."""
    rate, steps = sampler.sample_rate, []
    recordings = steady_recordings(manifest, rate)
    turns = zip(recordings, LOUD, reversed(recordings), QUIET, strict=False)
    pairs = chain.from_iterable(((low, loud), (high, quiet)) for low, loud, high, quiet in turns)
    print("| recording | its level, dB | new | step at the beginning, dB | at the end, dB |")
    print("|---|---|---|---|---|")
    for recording, prompt in islice(pairs, count):
        made = edit(sampler, recording.sound, rate, Request(prompt, seed=seed), [PART])
        errors = [join_error(made, rate, round(place * rate)) for place in PART]
        cells = " | ".join(f"{error.level:.1f} ({error.level_limit:.1f})" for error in errors)
        print(f"| {recording.name} | {recording.level:.0f} | {prompt} | {cells} |", flush=True)
        steps += [error.level for error in errors]
    print(f"steps: {np.mean(steps):.1f} dB on average, {max(steps):.1f} dB at most")


def main(arguments: argparse.Namespace) -> None:
    """Make and measure."""
    sampler = load_sampler(find_model(arguments.model), torch.device("cpu"), torch.float32)
    if arguments.manifest is not None:
        measure_edits(sampler, arguments.manifest, arguments.prompts, arguments.seed)
    else:
        measure_loops_and_extensions(sampler, arguments)


def measure_loops_and_extensions(sampler: Sampler, arguments: argparse.Namespace) -> None:
    """Make a loop and a longer sound of each prompt, and print how well they are joined."""
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
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--prompts", type=int, default=len(PROMPTS))
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=1)
    main(parser.parse_args())
