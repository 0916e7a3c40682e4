"""What tells a student's latents from real ones by a frozen teacher's features of them (LADD, arXiv 2403.12015).

The heads' sizes are not published; these follow StyleGAN-T (arXiv 2301.09515): per head a narrow convolution, one
with a wide circular window as a residual, and one to a score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from woosh.generation.transformer import Condition, WooshTransformer
from woosh.training import Updates
from woosh.training.modules import frozen

SLOPE = 0.2  # of the leaky rectifiers, below zero
WINDOW = 9  # tokens that a head's second convolution sees


class GroupedBatchNorm(nn.Module):
    """Batch normalisation with statistics of the present batch alone, over groups of its clips and all tokens.

    Args:
        channels: W.
        group: clips that share statistics.
    """

    def __init__(self, channels: int, group: int) -> None:
        super().__init__()
        self.group = group
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, W, N) -> (B, W, N)."""
        parts = [
            functional.batch_norm(part, None, None, self.weight, self.bias, training=True)
            for part in x.split(self.group)
        ]
        return torch.cat(parts)


class Head(nn.Module):
    """Scores of one block's tokens: (B, N, W) -> (B, N).

    Args:
        width: W.
        group: clips that share the statistics of a normalisation.
    """

    def __init__(self, width: int, group: int) -> None:
        super().__init__()
        self.narrow = spectral_norm(nn.Conv1d(width, width, 1))
        self.narrow_norm = GroupedBatchNorm(width, group)
        wide = nn.Conv1d(width, width, WINDOW, padding="same", padding_mode="circular")
        self.wide = spectral_norm(wide)
        self.wide_norm = GroupedBatchNorm(width, group)
        self.score = spectral_norm(nn.Conv1d(width, 1, 1))

    def forward(self, tokens: Tensor) -> Tensor:
        x = tokens.transpose(1, 2)  # (B, W, N)
        x = functional.leaky_relu(self.narrow_norm(self.narrow(x)), SLOPE)
        added = functional.leaky_relu(self.wide_norm(self.wide(x)), SLOPE)
        return self.score((x + added) / math.sqrt(2)).squeeze(1)


class LatentDiscriminator(nn.Module):
    """Heads on a teacher's audio tokens; the caller has the teacher.

    Args:
        width: W of the teacher.
        blocks: numbers of the teacher's blocks that the heads listen to, joint ones first.
        group: clips that share the statistics of a normalisation.

    Raises:
        ValueError: no block, or one twice.
    """

    def __init__(self, width: int, blocks: Sequence[int], group: int = 8) -> None:
        super().__init__()
        if not blocks or sorted(set(blocks)) != list(blocks):
            raise ValueError(f"discriminator_blocks is {list(blocks)}: name each once, in order")
        self.blocks = tuple(blocks)
        self.heads = nn.ModuleList(Head(width, group) for _ in blocks)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Scores (B,) of the tokens (B, N, W) of each block: the sum of the heads' means."""
        scores = [head(x).mean(dim=1) for head, x in zip(self.heads, features, strict=True)]
        return torch.stack(scores).sum(dim=0)


def hinge_loss(real: Tensor, made: Tensor) -> Tensor:
    """L_D from scores (B,): relu(1 - D(real)) + relu(1 + D(made)), their mean."""
    return (functional.relu(1 - real) + functional.relu(1 + made)).mean()


@dataclass(frozen=True)
class JudgedFeatures:
    """What a training step of the discriminator sees: a teacher's tokens (B, N, W) after each block that it listens to.

    Attributes:
        real: of real latents.
        made: of ends of jumps.
    """

    real: list[Tensor]
    made: list[Tensor]


@dataclass(frozen=True)
class JumpEnds:
    """Where jumps end, beside what they should end at.

    Attributes:
        real: latents with the noise that they have at that time (B, C, T).
        reached: ends of the student's jumps, with their graph (B, C, T).
        time: of both (B,).
        condition: of the teacher.
    """

    real: Tensor
    reached: Tensor
    time: Tensor
    condition: Condition


def judging_step(discriminator: LatentDiscriminator, batch: JudgedFeatures) -> Tensor:
    """Loss of the discriminator."""
    return hinge_loss(discriminator(batch.real), discriminator(batch.made))


class Judge(NamedTuple):
    """The discriminator of a run, and from which steps on it learns and is heard."""

    discriminator: LatentDiscriminator
    train_step: Any
    updates: Updates
    learns_from: int
    heard_from: int

    def hear(
        self, teacher: WooshTransformer, ends: JumpEnds, step: int, number: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Learn to tell real latents from ends of jumps, and judge the latter.

        Args:
            teacher: whose features tell them apart; frozen.
            ends: of the jumps.
            step: steps done.
            number: of the batch.

        Returns:
            The mean score, with its gradient for the ends of jumps alone, and scalars.
        """
        blocks = self.discriminator.blocks
        scalars = {}

        def features(latents: Tensor) -> list[Tensor]:
            return teacher.features(latents, ends.time, ends.condition, blocks)

        if step >= self.learns_from:
            with torch.no_grad():
                judged = JudgedFeatures(features(ends.real), features(ends.reached))
            loss = self.train_step(judged)
            self.updates.apply(loss, number)
            scalars["discriminator"] = loss.detach()
        if step < self.heard_from:
            return ends.reached.new_zeros(()), scalars
        heard = features(ends.reached)
        verdict = frozen(self.discriminator, heard).mean()
        return verdict, {**scalars, "verdict": verdict.detach()}
