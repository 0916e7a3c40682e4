"""Learning from labels of windows alone where they break."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import update_bn

BROKEN = 1  # the class of windows that break
STATISTICS_BATCHES = 4
Draw = Callable[[], tuple[Tensor, Tensor]]  # windows, and whether each breaks (B,) bool


def learn_breaks(
    model: nn.Module, draw: Draw, steps: int, learning_rate: float
) -> Iterable[tuple[int, float]]:
    """Train a network of `Breaks` on labels of windows; afterwards its statistics are measured anew.

    AMSGrad as in arXiv 1806.08840, with a rate that falls to nothing along a cosine. Statistics of a few hundred steps
    have not come far from where they began.

    Args:
        model: windows -> `woosh.taggers.breakpoints.Breaks`.
        draw: the next batch.
        steps: of the optimiser.
        learning_rate: at first.

    Yields:
        Step and loss, after each step.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, amsgrad=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for step in range(1, steps + 1):
        windows, broken = draw()
        said = model(windows).probabilities[:, BROKEN].clamp(1e-6, 1 - 1e-6)
        loss = functional.binary_cross_entropy(said, broken.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield step, float(loss.detach())
    update_bn([draw()[0] for _ in range(STATISTICS_BATCHES)], model)
    model.eval()
