"""Training a transformer by low-rank changes of its matrices, so that what it learned is a few megabytes."""

from __future__ import annotations

from pathlib import Path

from woosh.generation.lora import add_lora, merged
from woosh.generation.transformer import WooshTransformer


def learn_low_rank(network: WooshTransformer, rank: int, whole: tuple[str, ...]) -> None:
    """Let a network learn by changes of a rank; rank 0 leaves it as it is, and all its weights learn.

    Args:
        network: to be trained.
        rank: of the changes of its blocks' matrices.
        whole: parts of names; tensors with one of them in their names learn as they are.

    Raises:
        ValueError: a negative rank.
    """
    if rank < 0:
        raise ValueError(f"rank is {rank}; it must be positive, or 0 to let all weights learn")
    if rank == 0:
        return
    learning = {name for name, value in network.named_parameters() if value.requires_grad}
    add_lora(network, rank, alpha=rank, dropout=0.0)
    for name, value in network.named_parameters():
        if name.replace(".base_layer", "") in learning and any(part in name for part in whole):
            value.requires_grad_(True)


def save_whole(network: WooshTransformer, folder: Path) -> None:
    """Save a network with what its low-rank changes, if it has some, add to its matrices."""
    merged(network).save_pretrained(folder)
