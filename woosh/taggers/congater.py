"""ConGater: gates that take what a domain tells out of PaSST's features, as far as a control says (arXiv 2306.08010).

Parameters have the published names and shapes. Shapes: B batch, N tokens, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn

from woosh.taggers.passt import Passt, PasstOutput

PLACES = ("all", "last")  # behind every block, or before the last normalisation
OPEN = 6.0  # bias of a fresh gate, whose sigmoid is almost 1


def t_sigmoid(x: Tensor, control: Tensor) -> Tensor:
    """min(s / (1 + exp(-t x)), 1) with s = 2 - t, and 1 from t = 1 on: 1 at t = 0, the sigmoid at t = 1.

    Args:
        x: before the gate, any shape.
        control: t from 0 on, in a shape that goes with x.
    """
    scale = torch.where(control > 1, torch.ones_like(control), 2 - control)
    return (scale * torch.sigmoid(control * x)).clamp_max(1)


def l_sigmoid(x: Tensor, control: Tensor) -> Tensor:
    """1 - log2(t + 1) / (1 + exp(x)): 1 at t = 0, the sigmoid at t = 1; arguments as of `t_sigmoid`."""
    return 1 - torch.log2(control + 1) * torch.sigmoid(-x)


GATES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"T": t_sigmoid, "L": l_sigmoid}


class Gate(nn.Module):
    """What a gate weighs every channel of every token by: (B, N, W) -> (B, N, W) in [0, 1]."""

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        linear = nn.Linear(width, width)
        nn.init.zeros_(linear.weight)
        nn.init.constant_(linear.bias, OPEN)
        self.nonlinear = nn.Sequential(linear)

    def forward(self, tokens: Tensor, control: Tensor) -> Tensor:
        """Tokens, and the control (B or 1, 1, 1)."""
        return GATES[self.kind](self.nonlinear(tokens), control)


class ConGater(nn.Module):
    """PaSST with gates for nuisance domains, such as the device of a recording.

    With all controls at 0 it is the PaSST that it was made from. A gate sees what a block was given and multiplies what
    it made; the gates of several domains multiply. (The published code leaves out a third domain's gate.)

    Args:
        passt: the network.
        domains: names, each with gates and a control of its own.
        gate: one of `GATES`.
        place: one of `PLACES`.

    Raises:
        ValueError: an unknown gate or place, or no domain.
    """

    def __init__(self, passt: Passt, domains: Sequence[str], gate: str, place: str) -> None:
        super().__init__()
        if gate not in GATES or place not in PLACES or not domains:
            raise ValueError(
                f"gate is {gate!r}, of {', '.join(GATES)}; place is {place!r}, of {', '.join(PLACES)}; domains are "
                f"{list(domains)}, at least one"
            )
        self.passt, self.domains = passt, tuple(domains)
        sizes = {name: value for name, value in passt.config.items() if not name.startswith("_")}
        self.config = {**sizes, "domains": self.domains, "gate": gate, "place": place}
        self.gated_blocks = place == "all"
        width = passt.norm.normalized_shape[0]
        count = len(passt.blocks) if self.gated_blocks else 1
        self.congater = nn.ModuleDict(
            {name: nn.ModuleList(Gate(width, gate) for _ in range(count)) for name in domains}
        )

    def forward(
        self, log_mel: Tensor, controls: Tensor, generator: Generator | None = None
    ) -> PasstOutput:
        """Classify spectrograms with some domains taken out.

        Args:
            log_mel: (B, 1, bands, frames), see `Passt.forward`.
            controls: (B or 1, domains) in the order of `self.domains`: 0 changes nothing, 1 takes out all that the gates
                learned.
            generator: draws, in training, the patches that stay.

        Raises:
            ValueError: spectrograms or controls of another shape, or controls below 0.
        """
        if log_mel.ndim != 4 or log_mel.shape[1] != 1:
            raise ValueError(f"log_mel must be (B, 1, bands, frames), got {tuple(log_mel.shape)}")
        if controls.ndim != 2 or controls.shape[1] != len(self.domains) or (controls < 0).any():
            raise ValueError(
                f"controls are {controls.tolist()}: give (B or 1, {len(self.domains)}) from 0 to 1, for "
                f"{', '.join(self.domains)}"
            )
        x = self.passt.embed(log_mel[:, 0], generator)
        for number, block in enumerate(self.passt.blocks):
            made = block(x)
            x = made * self.weights(x, controls, number) if self.gated_blocks else made
        if not self.gated_blocks:
            x = x * self.weights(x, controls, 0)
        return self.passt.read_out(x)

    def weights(self, tokens: Tensor, controls: Tensor, number: int) -> Tensor:
        """The product of all domains' gates of one place, for tokens (B, N, W)."""
        product = torch.ones_like(tokens)
        for place, gates in enumerate(self.congater.values()):
            product = product * gates[number](tokens, controls[:, place, None, None])  # type: ignore[index]
        return product
