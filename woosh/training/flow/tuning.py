"""Tuning a flow by rewards of its own sounds: towards the better ones of a group and away from the worse.

DiffusionNFT (arXiv 2509.16117): a sound x_0 of the present flow is noised again, and the velocity that leads to it is
learned by two flows at once. One lies ahead of the present flow as the learner does, the other as far behind it; the
first counts as much as the sound is optimal, the second as much as it is not. No likelihood and no sampler takes part.
"""

from __future__ import annotations

from torch import Tensor

from woosh.generation.flow import expand_like


def optimality(advantage: Tensor, base: float, slope: float) -> Tensor:
    """Chance that a sound is an optimal one, from 0 to 1 (equation 9 there, with a base).

    Args:
        advantage: of the sounds, in deviations.
        base: of an average sound: 0.5 learns from differences alone, more also from what the sampler's guidance adds.
        slope: for each deviation.
    """
    return (base + slope * advantage).clamp(0.0, 1.0)


def tuning_loss(
    velocity: Tensor, present: Tensor, target: Tensor, optimal: Tensor, reach: float
) -> Tensor:
    """Equation 5 there, a scalar: r |v+ - v|^2 + (1 - r) |v- - v|^2 with v+- = v_present +- beta (v_learner - v_present).

    Args:
        velocity: of the learner (B, C, T).
        present: of the flow that made the sounds (B, C, T).
        target: noise minus sound (B, C, T).
        optimal: r (B,), from 0 to 1.
        reach: beta; the smaller, the farther the learner goes for the same reward.
    """
    change = reach * (velocity - present)
    optimal = expand_like(optimal, velocity)
    ahead = (present + change - target).square()
    behind = (present - change - target).square()
    return (optimal * ahead + (1 - optimal) * behind).mean()
