"""Deep SNP: where copy numbers break, or sounds, learned from whether a window holds a break (arXiv 1806.08840).

A dense network along the window, gated recurrent layers, and a head that attends and localises: it is taught by labels
of windows and says where in a window it looks. Shapes: B batch, R tracks, P positions, T steps, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

FILTERS = 16  # of the first convolution
GROWTH = 12
LAYERS = 4  # of a dense block
BLOCKS = 6
HIDDEN = 128  # of a recurrent layer, in one direction
TRACKS = 2
WINDOW_MARGINS = 4  # positions of a window as a multiple of the margin
FIRST_KERNEL, FIRST_PACE = 10, 5  # the pace is a dilation, or a stride in the second version
WIDE, WIDE_TRANSITIONS = 5, 2  # kernel of so many transitions; the others halve with a kernel of 2
DROPOUT = 0.2
FLOOR = 1e-7  # of attention, and below 1
NORM_FLOOR, NORM_MOMENTUM = 1e-3, 0.01


class Breaks(NamedTuple):
    """What is said of a window."""

    probabilities: Tensor  # (B, C); attention is each class's own, so that they need not sum to 1
    attention: Tensor  # (B, T, C) in (0, 1): how much each step counts
    localisation: Tensor  # (B, T, C), the classes of each step, which sum to 1


def unhalved_pools(margin: int) -> int:
    """How many of the transitions' pools keep the resolution, for windows of 4 margins."""
    if margin <= 500:
        return 3
    return 2 if margin < 5000 else 0


def hard_sigmoid(x: Tensor) -> Tensor:
    """0.2 x + 0.5 within [0, 1]."""
    return (0.2 * x + 0.5).clamp(0, 1)


class RecurrentUnit(nn.Module):
    """A gated recurrent unit with an activation of its own, which resets before its matrix product.

        z, r = hard_sigmoid(W x + U h + b),   c = f(W_c x + U_c (r h) + b_c),   h' = z h + (1 - z) c

    Args:
        given: channels of the input.
        activation: f.
    """

    def __init__(self, given: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation
        self.input = nn.Parameter(torch.empty(3 * HIDDEN, given))
        self.recurrent = nn.Parameter(torch.empty(3 * HIDDEN, HIDDEN))
        self.bias = nn.Parameter(torch.zeros(3 * HIDDEN))
        nn.init.xavier_uniform_(self.input)
        for rows in self.recurrent.split(HIDDEN):
            nn.init.orthogonal_(rows)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, given) -> the state after each step (B, T, 128)."""
        given = functional.linear(x, self.input, self.bias)  # (B, T, 3 x 128)
        to_gates, to_candidate = self.recurrent.split([2 * HIDDEN, HIDDEN])
        state = x.new_zeros(len(x), HIDDEN)
        states = []
        for step in given.unbind(dim=1):
            own_gates, own_candidate = step.split([2 * HIDDEN, HIDDEN], dim=1)
            keep, reset = hard_sigmoid(own_gates + functional.linear(state, to_gates)).chunk(2, 1)
            candidate = own_candidate + functional.linear(reset * state, to_candidate)
            state = keep * state + (1 - keep) * self.activation(candidate)
            states.append(state)
        return torch.stack(states, dim=1)


class BothWays(nn.Module):
    """A unit for each direction, their states side by side: (B, T, given) -> (B, T, 256)."""

    def __init__(self, given: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        # Under the published names, which an attribute could not bear: `forward` is a module's method.
        self.units = ("forward", "backward")
        self._modules["forward"] = RecurrentUnit(given, activation)
        self._modules["backward"] = RecurrentUnit(given, activation)

    def forward(self, x: Tensor) -> Tensor:
        ahead, back = (self._modules[name] for name in self.units)
        assert ahead is not None and back is not None
        return torch.cat([ahead(x), back(x.flip(1)).flip(1)], dim=-1)


def same(x: Tensor, kernel: int, stride: int = 1, dilation: int = 1) -> Tensor:
    """Zeros around the positions of a map (B, C, R, P), so that a convolution keeps ceil(P / stride) of them."""
    length = x.shape[-1]
    missing = max((-(-length // stride) - 1) * stride + dilation * (kernel - 1) + 1 - length, 0)
    return functional.pad(x, (missing // 2, missing - missing // 2))


def normalisation(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with the constants of the published code."""
    return nn.BatchNorm2d(channels, eps=NORM_FLOOR, momentum=NORM_MOMENTUM)


def attended(localisation: Tensor, attention: Tensor) -> Tensor:
    """The mean of what steps say, each class's weighed by its attention: (B, T, C) both -> (B, C).

    y_c = sum_t s_tc g_tc / sum_t g_tc                                            (arXiv 1806.08840)
    """
    return (localisation * attention).sum(dim=1) / attention.sum(dim=1)


def break_places(localisation: Tensor, places: Tensor, broken: int = 1) -> Tensor:
    """Where windows break, as shares of them (B,): between the two steps whose log-odds differ most.

    What a step says of a window with a break differs before and after it: the recurrent layers carry on what they have
    heard from either side, so that an edge marks the break and not a peak. Probabilities near 0 and 1 would hide it.

    Args:
        localisation: (B, T, C) of `Breaks`.
        places: of the steps (T,), see `DeepSnp.step_places`.
        broken: the class of windows that break.
    """
    odds = localisation[:, :, broken].clamp(FLOOR, 1 - FLOOR).logit()  # (B, T)
    first = odds.diff(dim=1).abs().argmax(dim=1)
    return (places[first] + places[first + 1]) / 2


def attention_places(attention: Tensor, places: Tensor, broken: int = 1) -> Tensor:
    """Where windows break, as shares of them (B,), by a network without memory: at the step that counts most.

    Args:
        attention: (B, T, C) of `Breaks`.
        places: of the steps (T,), see `DeepSnp.step_places`.
        broken: the class of windows that break.
    """
    return places[attention[:, :, broken].argmax(dim=1)]


class DeepSnp(nn.Module):
    """Windows of two tracks -> the probability of a break in each, and where it is.

    Args:
        margin: a quarter of the window's positions; how much is pooled follows from it.
        classes: C.
        strided: the second version: the first convolution strides in place of its dilation, and the features are not
            rectified at last.
        memory: the published recurrent layers. They carry on what they have heard, so that every step may know of a break
            and attention shows on which side of it a step lies; without them a step knows what the convolutions hear around
            it alone.
    """

    def __init__(
        self,
        margin: int = 10_000,
        classes: int = 2,
        strided: bool = False,
        memory: bool = True,
    ) -> None:
        super().__init__()
        self.margin, self.strided = margin, strided
        self.first = nn.Conv2d(
            1,
            FILTERS,
            (1, FIRST_KERNEL),
            stride=(1, FIRST_PACE if strided else 1),
            dilation=(1, 1 if strided else FIRST_PACE),
        )
        norms, convolutions, width = [normalisation(FILTERS)], [], FILTERS
        for block in range(BLOCKS):
            for _ in range(LAYERS):
                convolutions.append(nn.Conv2d(width, GROWTH, (1, 3), bias=False))
                width += GROWTH
            if block < BLOCKS - 1:
                kernel = WIDE if block < WIDE_TRANSITIONS else 2
                convolutions.append(nn.Conv2d(width, width, (1, kernel), bias=False))
                norms.append(normalisation(width))
        for convolution in convolutions:
            nn.init.kaiming_uniform_(convolution.weight, nonlinearity="relu")
        self.norms, self.convolutions = nn.ModuleList(norms), nn.ModuleList(convolutions)
        self.dropout = nn.Dropout(DROPOUT)
        states = 2 * HIDDEN
        self.candidate = BothWays(width, nn.Identity()) if memory else nn.Linear(width, states)
        self.gate = (
            BothWays(width, torch.sigmoid)
            if memory
            else nn.Sequential(nn.Linear(width, states), nn.Sigmoid())
        )
        self.localization = nn.Linear(2 * HIDDEN * TRACKS, classes)
        self.attention = nn.Linear(2 * HIDDEN * TRACKS, classes)

    def forward(self, x: Tensor) -> Breaks:
        """Judge windows.

        Args:
            x: (B, 2, positions), 4 margins of positions as the network was made for; others work too.

        Raises:
            ValueError: another shape.
        """
        if x.ndim != 3 or x.shape[1] != TRACKS:
            raise ValueError(f"x must be (B, {TRACKS}, positions), got {tuple(x.shape)}")
        steps = self.features(x).flatten(0, 1)  # (B R, T, W)
        gated = self.candidate(steps) * self.gate(steps)  # (B R, T, 256)
        joined = gated.unflatten(0, (-1, TRACKS)).transpose(1, 2).flatten(2)  # (B, T, 512)
        localisation = self.localization(joined).softmax(dim=-1)
        attention = self.attention(joined).sigmoid().clamp(FLOOR, 1 - FLOOR)
        return Breaks(attended(localisation, attention), attention, localisation)

    def step_places(self, steps: int) -> Tensor:
        """The middles of what steps hear, as shares of a window (T,).

        A valid convolution or a mean of pairs shifts them by half its reach, what keeps the length by nothing.
        """
        pace = FIRST_PACE if self.strided else 1  # positions from one step to the next
        middle = (FIRST_KERNEL - 1) * (1 if self.strided else FIRST_PACE) / 2
        for block in range(BLOCKS - 1):
            if block >= WIDE_TRANSITIONS:  # a convolution of pairs that halves
                middle, pace = middle + pace / 2, 2 * pace
            middle += pace / 2
            pace *= 1 if block < unhalved_pools(self.margin) else 2
        return (middle + 0.5 + pace * torch.arange(steps)) / (WINDOW_MARGINS * self.margin)

    def features(self, x: Tensor) -> Tensor:
        """What the dense network makes of windows (B, 2, positions): (B, R, T, W)."""
        hidden = self.norms[0](self.first(x[:, None]))
        layers = iter(self.convolutions)
        for block in range(BLOCKS):
            for _ in range(LAYERS):
                made = next(layers)(same(hidden.relu(), 3))
                hidden = torch.cat([hidden, self.dropout(made)], dim=1)
            if block < BLOCKS - 1:
                hidden = self.norms[block + 1](self.transition(hidden, block, next(layers)))
        hidden = hidden if self.strided else hidden.relu()
        return hidden.permute(0, 2, 3, 1)

    def transition(self, x: Tensor, number: int, convolution: nn.Module) -> Tensor:
        """Between dense blocks: a wide convolution, or one that halves, and a mean of pairs."""
        wide = number < WIDE_TRANSITIONS
        kernel = WIDE if wide else 2
        dilation = 2**number if wide else 1
        stride = 1 if wide else 2
        x = functional.conv2d(
            same(x, kernel, stride, dilation),
            convolution.weight,  # type: ignore[arg-type]
            stride=(1, stride),
            dilation=(1, dilation),
        )
        return functional.avg_pool2d(
            x, (1, 2), (1, 1 if number < unhalved_pools(self.margin) else 2)
        )
