"""Seeds of takes: each take has its own."""

from woosh.studio.seeds import LARGEST_SEED, MOST_TAKES, take_seeds


def test_takes_of_a_batch_share_no_seed() -> None:
    """A redraw that met the next take's seed would give the same sound twice."""
    tried = [seed for first in range(MOST_TAKES) for seed in take_seeds(first)]
    assert len(set(tried)) == len(tried)
    assert take_seeds(LARGEST_SEED + MOST_TAKES - 1)[-1] < 2**63
