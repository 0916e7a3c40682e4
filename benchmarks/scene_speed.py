"""How many seconds of rendered scenes, pictures and sound, one core makes per second, by family.

OMP_NUM_THREADS=1 python benchmarks/scene_speed.py [--scenes 3] [--seconds 6] [--size 96]

Processor time is counted, so other programs on the machine do not change the figures much.
"""

import argparse
import time
from collections.abc import Sequence

from woosh.scenes import FAMILIES, generate_scene


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each family."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scenes", type=int, default=3, help="of each family")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--size", type=int, default=96)
    options = parser.parse_args(arguments)
    generate_scene(0, seconds=1.0, size=32)  # the first call pays for imports
    ratios = []
    for family in FAMILIES:
        start = time.process_time()
        for seed in range(options.scenes):
            generate_scene(seed, family, options.seconds, options.size)
        spent = time.process_time() - start
        ratios.append(options.scenes * options.seconds / spent)
        print(f"{family:10s} {ratios[-1]:6.0f} x real time")
    print(f"{'mean':10s} {sum(ratios) / len(ratios):6.0f} x real time, slowest {min(ratios):.0f}")


if __name__ == "__main__":
    main()
