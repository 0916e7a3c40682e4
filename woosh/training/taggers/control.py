"""How a ConGater learns to take a domain out of its features (arXiv 2306.08010)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.utils import skip_init

from woosh.taggers.congater import ConGater
from woosh.taggers.mobilenet import Tags

HEADS = 3  # that guess a domain, each from fresh weights of its own
HIDDEN = 768
PROBE_STEPS, PROBE_BATCH, PROBE_RATE, PROBE_DECAY = 300, 128, 2e-3, 1e-2


class Reversal(torch.autograd.Function):
    """The same forwards, the gradient times a negative factor backwards (arXiv 1409.7495)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:  # type: ignore[override]
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return -ctx.strength * gradient, None


def reversed_gradient(x: Tensor, strength: float) -> Tensor:
    """x, whose gradient comes back times -strength."""
    return Reversal.apply(x, strength)  # type: ignore[no-any-return]


class DomainHeads(nn.Module):
    """Guesses of a domain from features: they learn to guess it, what they hear learns to hide it.

    Args:
        width: W of the features.
        classes: D of the domain.
        hidden: channels between.
        heads: H.
    """

    def __init__(self, width: int, classes: int, hidden: int = HIDDEN, heads: int = HEADS) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, classes))
            for _ in range(heads)
        )

    def forward(self, features: Tensor, strength: float) -> Tensor:
        """Features (B, W) -> logits (B, H, D); the gradient goes back to the features times -strength."""
        hidden = reversed_gradient(features, strength)
        return torch.stack([head(hidden) for head in self.heads], dim=1)


def domain_loss(logits: Tensor, domain: Tensor) -> Tensor:
    """Cross-entropy of all heads' guesses (B, H, D) with domains (B,), their mean."""
    heads = logits.shape[1]
    return functional.cross_entropy(logits.flatten(0, 1), domain.repeat_interleave(heads))


@dataclass(frozen=True)
class ControlBatch:
    """What a step sees.

    Attributes:
        log_mel: (B, 1, bands, frames).
        labels: probabilities (B, C).
        domain: number of each sound's domain (B,).
    """

    log_mel: Tensor
    labels: Tensor
    domain: Tensor


@dataclass(frozen=True)
class ControlSettings:
    """How gates learn.

    Attributes:
        adversarial_weight: lambda, of the reversed gradient; .5 to 2 are published.
        train_network: the network itself learns the task too, at control 0 (joint training); otherwise it stays.
    """

    adversarial_weight: float
    train_network: bool


class Controlled(nn.Module):
    """A ConGater of one domain and the heads that guess this domain, which learn together."""

    def __init__(self, network: ConGater, domains: int, hidden: int) -> None:
        super().__init__()
        self.network = network
        self.guesses = DomainHeads(network.passt.config.width, domains, hidden)  # type: ignore[arg-type]


def gated_pass(network: ConGater, log_mel: Tensor) -> Tags:
    """What a network says at control 1, with gradients for its gates and none for the rest."""
    weights = {
        name: value if name.startswith("congater.") else value.detach()
        for name, value in network.named_parameters()
    }
    ones = torch.ones(1, len(network.domains), device=log_mel.device)
    return Tags(*functional_call(network, weights, (log_mel, ones)))


def control_step(
    model: Controlled, batch: ControlBatch, settings: ControlSettings
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch, and its terms (arXiv 2306.08010).

        L = CE(z_1, y) + CE of the heads' guesses at control 1, their gradient reversed times lambda
            + CE(z_0, y) where the network learns too

    Gates learn at control 1 alone, the network at control 0 alone.
    """
    made = gated_pass(model.network, batch.log_mel)
    terms = {
        "task": functional.cross_entropy(cast(Tensor, made.logits), batch.labels),
        "domain": domain_loss(
            model.guesses(made.features, settings.adversarial_weight), batch.domain
        ),
    }
    if settings.train_network:
        zeros = torch.zeros(1, len(model.network.domains), device=batch.log_mel.device)
        logits = model.network(batch.log_mel, zeros).logits
        terms["plain_task"] = functional.cross_entropy(logits, batch.labels)
    loss = torch.stack(list(terms.values())).sum()
    return loss, {"loss": loss.detach(), **{name: value.detach() for name, value in terms.items()}}


def probe_accuracy(
    learned: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], classes: int, seed: int
) -> float:
    """How well a fresh network of one hidden layer guesses a domain from features that it did not learn from.

    Args:
        learned: features (N, W) and their domains (N,).
        held_out: likewise, that are judged.
        classes: of the domain.
        seed: of its first weights and its batches.
    """
    mean, deviation = learned[0].mean(dim=0), learned[0].std(dim=0) + 1e-6
    (given, wanted), (heard, true) = (((x - mean) / deviation, y) for x, y in (learned, held_out))
    generator = torch.Generator().manual_seed(seed)
    first = cast(nn.Linear, skip_init(nn.Linear, given.shape[1], HIDDEN))
    last = cast(nn.Linear, skip_init(nn.Linear, HIDDEN, classes))
    with torch.no_grad():
        for layer in (first, last):
            bound = layer.in_features**-0.5
            for value in layer.parameters():
                value.uniform_(-bound, bound, generator=generator)
    probe = nn.Sequential(first, nn.ReLU(), last)
    optimizer = torch.optim.AdamW(probe.parameters(), PROBE_RATE, weight_decay=PROBE_DECAY)
    for _ in range(PROBE_STEPS):
        rows = torch.randint(len(given), (PROBE_BATCH,), generator=generator)
        loss = functional.cross_entropy(probe(given[rows]), wanted[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return float((probe(heard).argmax(dim=1) == true).float().mean())


def domain_numbers(devices: Sequence[str], known: Sequence[str]) -> Tensor:
    """The place of each device (N,) in the list of those that are known.

    Raises:
        ValueError: a sound without a device, or of one that is not known.
    """
    for device in devices:
        if device not in known:
            raise ValueError(
                f"a sound has the device {device!r}, which is not one of {', '.join(known)}: name it in the manifest's "
                "field `device`"
            )
    return torch.tensor([list(known).index(device) for device in devices])
