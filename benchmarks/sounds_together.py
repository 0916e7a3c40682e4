"""Is it quicker to make several sounds in a batch, or beside each other in threads, and are they the same bit for bit?

    python benchmarks/sounds_together.py [--models NAME|DIR ...] [--seconds S ...] [--threads N ...] [--runs N]

Eight sounds of one length: one call of the network (with and without words where the model is guided) in batches of 1, 2, 4 and 8,
the decoder likewise, and whole sounds of four steps by all threads one after the other or by one thread each. What is compared runs in turns; the
least of `--runs` counts, in milliseconds of a clock on the wall for each sound. Figures: docs/performance.md.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from woosh.catalogue import find_model
from woosh.generation.guidance import (
    WHOLE,
    Group,
    conditions_of,
    guided_velocity,
    taught_velocity,
    windows_of,
)
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler, noise_streams

SOUNDS = 8
BATCHES = (1, 2, 4, 8)
TIMES = (0.75, 0.5)  # noise levels at which a step begins and ends


def batched_step(sampler: Sampler, request: Request, size: int) -> Callable[[], Tensor]:
    """One step's velocities (8, C, T) of a request, so many sounds in one call of the network."""
    guidance = sampler.guidance_of(request)
    noise = sampler.noise_of(request, noise_streams(request), circular=False)
    windows = windows_of(noise.shape[2], sampler.window_frames)
    branches = [WHOLE] if sampler.few_step else guidance.branches
    groups = []
    for start in range(0, SOUNDS, size):
        prompts = request.prompts[start : start + size]
        texts = [prompt if branch.prompt else "" for branch in branches for prompt in prompts]
        conditions = conditions_of(sampler.transformer, sampler.embed_text(texts), None, windows)
        groups.append(Group(slice(start, start + size), conditions))
    time_, next_time = (torch.full((SOUNDS,), value) for value in TIMES)
    if sampler.few_step:
        scale = guidance.scale + sampler.settings.guidance_offset
        taught = taught_velocity(sampler.transformer, groups, scale)
        return lambda: taught(noise, time_, next_time)
    guided = guided_velocity(sampler.transformer, groups, guidance)
    return lambda: guided(noise, time_)


def batched_decoder(sampler: Sampler, latents: Tensor, size: int) -> Callable[[], Tensor]:
    """The audio (8, 1, S) of latents, so many sounds in one call."""
    return lambda: torch.cat([sampler.autoencoder.decode(part) for part in latents.split(size)])


def whole_sounds(sampler: Sampler, request: Request, at_once: int) -> Callable[[], Tensor]:
    """The eight sounds (8, 1, S) of a request, so many beside each other with one thread each, or one by one with all."""
    threads = torch.get_num_threads()
    each = [
        replace(request, prompt=prompt, seed=(request.seed or 0) + number)
        for number, prompt in enumerate(request.prompts)
    ]

    def make() -> Tensor:
        if at_once == 1:
            return torch.cat([sampler(one) for one in each])
        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(at_once) as pool:
                return torch.cat(list(pool.map(sampler, each)))
        finally:
            torch.set_num_threads(threads)

    return make


def compare(ways: Mapping[int, Callable[[], Tensor]], runs: int) -> list[str]:
    """Milliseconds for each sound of every way, in turns; "other bits" where they are not those of the first."""
    least = dict.fromkeys(ways, math.inf)
    made = {}
    for _ in range(runs):
        for size, make in ways.items():
            begun = time.perf_counter()
            made[size] = make()
            least[size] = min(least[size], time.perf_counter() - begun)
    first = made[next(iter(ways))]
    return [
        f"{1000 * least[size] / SOUNDS:.1f}{'' if torch.equal(made[size], first) else ', other bits'}"
        for size in ways
    ]


@torch.inference_mode()
def measure(sampler: Sampler, seconds: float, runs: int) -> dict[str, list[str]]:
    """Rows of one model, length and number of threads, by what is done."""
    prompts = [f"a dog barking, take {number}" for number in range(SOUNDS)]
    request = Request(prompts, seconds=seconds, steps=4, seed=0)
    latents = sampler.latents(request)
    rows = {
        "a step": compare({size: batched_step(sampler, request, size) for size in BATCHES}, runs),
        "decoder": compare(
            {size: batched_decoder(sampler, latents, size) for size in BATCHES}, runs
        ),
    }
    if (threads := torch.get_num_threads()) > 1:
        ways = {count: whole_sounds(sampler, request, count) for count in (1, threads)}
        rows["whole sounds, by all threads or by one each"] = compare(ways, runs)
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    models = ["woosh-tiny-fast", "woosh-small-fast", "woosh-small"]
    add("--models", nargs="+", default=models, metavar="NAME|DIR")
    add("--seconds", nargs="+", type=float, default=[0.5, 1.0, 5.0], metavar="S")
    add("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    add("--runs", type=int, default=3)
    options = parser.parse_args(argv)
    print("| model | length | threads | what | 1 | 2 | 4 | 8 |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    before = torch.get_num_threads()
    for name in options.models:
        sampler = load_sampler(find_model(name))
        for seconds in options.seconds:
            for threads in options.threads:
                torch.set_num_threads(threads)
                for what, cells in measure(sampler, seconds, options.runs).items():
                    shown = " | ".join([*cells, *[""] * (len(BATCHES) - len(cells))])
                    print(f"| {name} | {seconds:g} s | {threads} | {what} | {shown} |", flush=True)
    torch.set_num_threads(before)


if __name__ == "__main__":
    main()
