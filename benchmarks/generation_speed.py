"""How many seconds of sound a loaded model makes per second: the text, the network's steps and the decoder apart.

    python benchmarks/generation_speed.py [--models NAME|DIR ...] [--device DEVICE] [--dtype DTYPE]

The best of `--runs` calls after one that warms up. "x real time" is the clip's length over the time of network and
decoder together, for one clip and for `--batch` at once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from woosh.catalogue import find_model
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request


def seconds_of(call: Callable[[], object], runs: int, device: str) -> float:
    """The fastest of some calls, after one more."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        call()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def main() -> None:
    """Print a row for each model and batch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--models", nargs="+", default=["woosh-tiny", "woosh-tiny-fast"], metavar="NAME|DIR")
    add("--seconds", type=float, default=5.0)
    add("--batch", type=int, default=8)
    add("--runs", type=int, default=5)
    add("--device", default="cpu")
    add("--dtype", default="float32")
    options = parser.parse_args()
    print("| model | clips | text | network and its steps | decoder | x real time |")
    print("|---|---|---|---|---|---|")
    for name in options.models:
        sampler = load_sampler(find_model(name), options.device, getattr(torch, options.dtype))
        for clips in (1, options.batch):
            prompts = [f"a dog barking, take {clip}" for clip in range(clips)]
            request = Request(prompts, seconds=options.seconds, seed=0)

            def latents(sampler=sampler, request=request) -> torch.Tensor:
                return sampler.latents(request)

            made = latents()
            with torch.inference_mode():
                whole, text, decoder = (
                    seconds_of(call, options.runs, options.device)
                    for call in (
                        latents,
                        lambda sampler=sampler, prompts=prompts: sampler.embed_text(prompts),
                        lambda sampler=sampler, made=made: sampler.autoencoder.decode(made),
                    )
                )
            network = whole - text
            speed = clips * options.seconds / (network + decoder)
            print(
                f"| {name} | {clips} | {1000 * text:.1f} ms | {1000 * network:.0f} ms "
                f"({sampler.steps} steps) | {1000 * decoder:.0f} ms | {speed:.0f} |"
            )


if __name__ == "__main__":
    main()
