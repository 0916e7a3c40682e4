"""What finishing does to the sounds of a model, over many prompts.

    python benchmarks/finishing.py [--model NAME|DIR] [--prompts N] [--seconds S] [--first-seed N]

The prompts are labels of the built-in aligner, equally far from each other in its list, each drawn with a seed of its own as
`woosh generate` does. Every sound is measured twice, as the model makes it and finished. Counted are:

silent      nowhere above -50 dB of full scale within 10 ms, or heard for less than 30 ms
dead tail   the last .2 s and more are silence: 60 dB below the loudest 10 ms, or no louder than the sound's noise floor
faint tail  they are 50 dB below it, which the end of a decay may be
peak        a true peak above -1 dB
loudness    more than .5 LU from -23 LUFS; "said so" are those whose peak's limit goes first
redrawn     takes whose first seed gave silence
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from woosh.audio import Trim, finish, is_silent, levelling_loudness, true_peak
from woosh.audio.finishing import LOUDNESS, TRUE_PEAK
from woosh.audio.trimming import levels, silence_below
from woosh.audio.true_peak import decibels
from woosh.catalogue import DEFAULT_MODEL, find_model
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.studio.takes import NoSoundError, draw_take

LABELS = "labels.txt"  # in the built-in aligner's folder
FAINT_TAIL = 50.0  # dB below the loudest level
TAIL_SECONDS = 0.2
LOUDNESS_ERROR = 0.5  # LU


class Faults(NamedTuple):
    """What is wrong with a sound."""

    silent: bool
    dead_tail: bool
    faint_tail: bool
    peak: bool
    loudness: bool


def faults_of(audio: np.ndarray, sample_rate: int) -> Faults:
    """Of (C, S) audio."""
    short, _ = levels(audio, sample_rate)  # one each millisecond
    dead, faint = (
        (len(short) - 1 - int(np.flatnonzero(short >= level)[-1])) / 1000
        for level in (silence_below(short, Trim().threshold), short.max() - FAINT_TAIL)
    )
    return Faults(
        is_silent(audio, sample_rate),
        dead > TAIL_SECONDS,
        faint > TAIL_SECONDS,
        decibels(true_peak(audio)) > TRUE_PEAK + 1e-3,
        not abs(levelling_loudness(audio, sample_rate) - LOUDNESS) <= LOUDNESS_ERROR,
    )


def prompts_of(count: int) -> list[str]:
    """`count` labels, equally far from each other.

    Raises:
        ValueError: there are not so many.
    """
    text = (find_model("woosh-tiny-clap") / LABELS).read_text(encoding="utf-8")
    labels = [line for line in text.splitlines() if line.strip()]
    if count > len(labels):
        raise ValueError(f"there are {len(labels)} labels: ask for as many --prompts at most")
    return [labels[number * len(labels) // count] for number in range(count)]


def main() -> None:
    """Draw, finish and count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", default=DEFAULT_MODEL, metavar="NAME|DIR")
    add("--prompts", type=int, default=200)
    add("--seconds", type=float, default=4.0)
    add("--first-seed", type=int, default=0)
    options = parser.parse_args()
    sampler = load_sampler(find_model(options.model))
    rate = sampler.sample_rate
    before: list[Faults] = []
    after: list[Faults] = []
    redrawn, failed, steady, said, lengths = 0, [], 0, 0, []
    for number, prompt in enumerate(tqdm(prompts_of(options.prompts))):
        request = Request(prompt, seconds=options.seconds, seed=options.first_seed + number)
        try:
            take = draw_take(sampler, request)
        except NoSoundError as error:
            failed.append(str(error))
            continue
        finished = finish(take.sound, rate)
        before.append(faults_of(take.sound, rate))
        after.append(faults_of(finished.audio, rate))
        redrawn += bool(take.silent_seeds)
        steady += finished.region.steady
        said += not finished.reached
        lengths.append(finished.audio.shape[1] / rate)
    print(f"{len(after)} sounds of {options.seconds:g} s, {steady} of them steady")
    for name in Faults._fields:
        raw, made = (sum(getattr(faults, name) for faults in found) for found in (before, after))
        print(f"{name:10} raw {raw:4}  finished {made:4}")
    print(f"redrawn {redrawn}, loudness said to be missed {said}, no sound at all {len(failed)}")
    print(f"lengths: half above {np.median(lengths):.2f} s, shortest {min(lengths):.2f} s")
    for message in failed:
        print(message)


if __name__ == "__main__":
    main()
