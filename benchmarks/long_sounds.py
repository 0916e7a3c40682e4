"""What a second of sound costs over the length of the sound: processor and system seconds, network and decoder apart.

    python benchmarks/long_sounds.py [--models NAME|DIR ...] [--seconds S ...]

System seconds are those that the kernel takes for memory. Growth is the cost of a second over that of the first
length. Each length is made once, after a first sound that warms up.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable
from functools import partial
from typing import Any

from woosh.catalogue import find_model
from woosh.command_line import keep_freed_memory
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request


def spent(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a call returns, and the processor and system seconds that it took."""
    # os.times() counts hundredths of a second, in which a small model is done.
    before = resource.getrusage(resource.RUSAGE_SELF)
    result = call()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return result, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime


def main() -> None:
    """Print a row for each model and length."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--models", nargs="+", default=["woosh-tiny-fast", "woosh-small"], metavar="NAME|DIR")
    add("--seconds", nargs="+", type=float, default=[5, 10, 60, 120], metavar="S")
    options = parser.parse_args()
    keep_freed_memory()
    print("| model | length | network | decoder | system | for a second | growth |")
    print("|---|---|---|---|---|---|---|")
    for name in options.models:
        sampler = load_sampler(find_model(name))
        sampler(Request("wind in trees", seconds=options.seconds[0], seed=0))
        first = None
        for seconds in options.seconds:
            request = Request("wind in trees", seconds=seconds, seed=0)
            latents, network, kernel = spent(partial(sampler.latents, request))
            _, decoder, more = spent(partial(sampler.decode, latents))
            cost = (network + decoder + kernel + more) / seconds
            first = first or cost
            print(
                f"| {name} | {seconds:g} s | {network:.2f} s | {decoder:.2f} s | {kernel + more:.2f} s | "
                f"{cost:.4f} s | {cost / first:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
