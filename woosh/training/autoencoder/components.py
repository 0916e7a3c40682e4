"""Principal components of log-mel tokens over training sounds."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from woosh.autoencoder.mel import WooshMelAutoencoder

LEAST_DEVIATION = (
    1e-2  # decades: of what is constant, such as a band that no bin of the spectrum falls into
)


@torch.no_grad()
def fit_components(model: WooshMelAutoencoder, sounds: Iterable[Tensor]) -> None:
    """Set a model's mean, components and deviations to those of these sounds' tokens.

    Args:
        model: with the sizes; its other weights stay.
        sounds: audio (1, S) each.

    Raises:
        ValueError: fewer tokens than components, which would leave some undetermined.
    """
    size = len(model.mean)
    count, total = 0, torch.zeros(size, dtype=torch.float64)
    squares = torch.zeros(size, size, dtype=torch.float64)
    for sound in sounds:
        tokens = model.tokens(model.levels(sound[None]))[0].double()  # (T, P)
        count, total, squares = (
            count + len(tokens),
            total + tokens.sum(0),
            squares + tokens.T @ tokens,
        )
    if count < size:
        raise ValueError(
            f"the sounds have {count} tokens of {model.hop_length} samples, too few for {size} components: give more "
            "sound, or make bands or frames_per_token smaller"
        )
    mean = total / count
    values, vectors = torch.linalg.eigh(squares / count - mean[:, None] * mean)  # ascending
    model.mean.copy_(mean)
    model.components.copy_(vectors.flip(1).T)
    model.deviations.copy_(values.flip(0).clamp_min(LEAST_DEVIATION**2).sqrt())
