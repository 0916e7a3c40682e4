"""What the network that watches learns from: records of scenes, and its loss."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from woosh.video.visual import Happenings


class Record(NamedTuple):
    """What is true of every frame of some clips."""

    event: Tensor  # (B, F), 1 where a sound begins between this frame and the next
    offset: Tensor  # (B, F), where between them, 0 to 1
    intensity: Tensor  # (B, F)
    goes_on: Tensor  # (B,), whether the scene has an intensity, not events
    family: Tensor  # (B,)


def watching_loss(seen: Happenings, record: Record) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum of the cross-entropies of events and family, the offsets' and the intensity's mean errors; and these.

    Events are rare, so each counts as much as the frames without one between two of them.
    """
    single = 1 - record.goes_on.float()[:, None].expand_as(seen.event)
    weight = single * (1 + 9 * record.event)
    event = functional.binary_cross_entropy_with_logits(seen.event, record.event, reduction="none")
    event = (weight * event).sum() / weight.sum().clamp_min(1)
    begins = single * record.event
    offset = (begins * (seen.offset - record.offset).abs()).sum() / begins.sum().clamp_min(1)
    lasting = 1 - single
    intensity = (lasting * (seen.intensity - record.intensity).square()).sum()
    intensity = intensity / lasting.sum().clamp_min(1)
    family = functional.cross_entropy(seen.family, record.family)
    loss = event + 0.5 * offset + 5 * intensity + 0.2 * family
    parts = {"event": event, "offset": offset, "intensity": intensity, "family": family}
    return loss, {name: value.detach() for name, value in {"loss": loss, **parts}.items()}
