"""How many seconds of procedural sound one core makes per second, by family and over all.

OMP_NUM_THREADS=1 python benchmarks/procedural_speed.py

Processor time is counted, so other programs on the machine do not change the figures much. Last
measured on one busy core: mean of the families 70 x real time, slowest (swarm) 18, overall 40;
3,600 caption records per second.
"""

import argparse
import time

from woosh.procedural import FAMILIES, captions, generate


def measure(family: str, sounds: int) -> tuple[float, float]:
    """Seconds of audio and seconds of work for the first `sounds` seeds."""
    start = time.process_time()
    made = sum(generate(seed, family).seconds for seed in range(sounds))
    return made, time.process_time() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sounds", type=int, default=5, help="sounds per family")
    sounds = parser.parse_args().sounds

    generate(0)  # the first call pays for imports
    total_made = total_spent = 0.0
    ratios = []
    for family in FAMILIES:
        made, spent = measure(family, sounds)
        ratios.append(made / spent)
        total_made, total_spent = total_made + made, total_spent + spent
        print(f"{family:14s} {made / spent:7.0f} x real time")
    print(f"{'mean':14s} {sum(ratios) / len(ratios):7.0f} x real time, slowest {min(ratios):.0f}")
    print(f"{'overall':14s} {total_made / total_spent:7.0f} x real time ({total_made:.0f} s made)")

    start = time.process_time()
    for seed in range(1000):
        captions(seed)
    print(f"captions       {1000 / (time.process_time() - start):7.0f} records per second")


if __name__ == "__main__":
    main()
