"""A recipe's training step as a module, what it costs, and how its blocks are run."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from woosh.training.batches import shapes_of

BACKWARD = 2  # times the operations of the forward pass, as is usual for the utilisation


class TrainingStep(nn.Module):
    """A recipe's training step as a module's forward, which is what data parallelism wraps.

    Args:
        model: the network; `step(model, batch)` may call any of its methods.
        step: pure function of a model and a batch, which is a dataclass. It gives the loss and a dictionary of detached
            scalars, or other tensors.
    """

    def __init__(self, model: nn.Module, step: Callable[..., Any]) -> None:
        super().__init__()
        self.model, self.step = model, step
        self.operations = 0  # done since the start, in the forward and the backward pass
        self._counted: dict[tuple[torch.Size, ...], int] = {}

    def forward(self, batch: Any) -> Any:
        """What the step returns."""
        shapes = shapes_of(batch)
        if shapes not in self._counted:
            self._counted[shapes] = self._count(batch)
        self.operations += self._counted[shapes]
        return self.step(self.model, batch)

    @torch.no_grad()
    def _count(self, batch: Any) -> int:
        """Floating-point operations of a step with this batch, by a copy: nothing of the run changes."""
        if any(isinstance(value, DTensor) for value in self.parameters()):
            return 0  # a copy of one process's shards cannot run
        devices = [value.device for value in self.parameters() if value.is_cuda]
        counter = FlopCounterMode(display=False)
        with (
            torch.random.fork_rng(devices[:1]),
            torch.compiler.set_stance("force_eager"),
            counter,
        ):
            self.step(copy.deepcopy(self.model), batch)
        return (1 + BACKWARD) * counter.get_total_flops()


# Joined tensors are written first and joined then: inside of the join, a CPU's loops are not vectorised.
COMPILATION = {"max_pointwise_cat_inputs": 0}


def prepare_blocks(blocks: Iterable[nn.Module], checkpointed: bool, compiled: bool) -> None:
    """Say how a model's blocks are run.

    Args:
        blocks: of which most of the model consists.
        checkpointed: they keep their inputs alone and compute their activations anew in the backward pass.
        compiled: each is compiled, anew for every shape: slow to start, then faster.
    """
    for block in blocks:
        if checkpointed:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
        if compiled:
            block.compile(dynamic=False, options=COMPILATION)


def frozen(model: nn.Module, *inputs: Tensor | list[Tensor]) -> Any:
    """What a model says, with gradients for the inputs but not for its own weights."""
    weights = {name: value.detach() for name, value in model.named_parameters()}
    return torch.func.functional_call(model, weights, inputs)
