"""Memory that decoding takes over the length of a sound, in pieces and as a whole (Linux).

    python benchmarks/decoding_memory.py [--seconds S ...] [--width W] [--device DEVICE]

Of a decoder of released size, or of `--width`, with random weights; each row in a fresh process. Counted is the most that is
held at once beyond what was held before: of the process on a CPU, of the allocator on a CUDA device.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch

from woosh.autoencoder import WooshAutoencoder, network


def resident(field: str) -> int:
    """Bytes of resident memory of this process: now (VmRSS) or at its peak (VmHWM)."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def taken(seconds: float, width: int, whole: bool, device: str) -> int:
    """Bytes that decoding so many seconds takes at most."""
    if whole:
        network.PIECE = sys.maxsize  # frames
    with torch.device(device):
        model = WooshAutoencoder(width=width, inner_width=3 * width // 2, encoder_layers=1).eval()
        latents = torch.randn(1, 128, 1 + round(seconds * model.latent_rate))
    with torch.inference_mode():
        model.decode(latents[..., :10])  # libraries take memory of their own
        if device == "cpu":
            Path("/proc/self/clear_refs").write_text("5")  # the peak is from here, not of imports
            before = resident("VmRSS")
            model.decode(latents)
            return resident("VmHWM") - before
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        model.decode(latents)
        return torch.cuda.max_memory_allocated() - before


def main() -> None:
    """Print a row for each length."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--seconds", nargs="+", type=float, default=[5, 30, 60], metavar="S")
    add("--width", type=int, default=2048)
    add("--device", default="cpu")
    add("--alone", choices=("whole", "pieces"), help=argparse.SUPPRESS)  # one figure, this process
    options = parser.parse_args()
    if options.alone is not None:
        whole = options.alone == "whole"
        print(taken(options.seconds[0], options.width, whole, options.device))
        return
    print("| length | as a whole | in pieces |\n|---|---|---|")
    for seconds in options.seconds:
        sizes = []
        for way in ("whole", "pieces"):
            command = [sys.executable, __file__, "--seconds", str(seconds), "--alone", way]
            command += ["--width", str(options.width), "--device", options.device]
            places = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env=places
            )
            sizes.append(f"{int(done.stdout) / 2**20:.0f} MiB")
        print(f"| {seconds:g} s | {' | '.join(sizes)} |", flush=True)


if __name__ == "__main__":
    main()
