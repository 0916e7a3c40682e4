"""Ten everyday kinds of sounds, those of ESC-10, and how a tagger of AudioSet's labels tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SoundClass:
    """One kind: `label` in manifests, `prompt` for a generator, `tags` are the AudioSet labels that mean it."""

    label: str
    prompt: str
    tags: tuple[str, ...]


TEN_CLASSES = (
    SoundClass("dog bark", "a dog barking", ("Dog", "Bark", "Bow-wow", "Yip", "Howl")),
    SoundClass("rain", "rain falling", ("Rain", "Raindrop", "Rain on surface")),
    SoundClass("sea waves", "sea waves", ("Ocean", "Waves, surf")),
    SoundClass("baby cry", "a baby crying", ("Baby cry, infant cry", "Crying, sobbing")),
    SoundClass("clock tick", "a clock ticking", ("Clock", "Tick", "Tick-tock")),
    SoundClass("person sneeze", "a person sneezing", ("Sneeze",)),
    SoundClass("helicopter", "a helicopter", ("Helicopter",)),
    SoundClass("chainsaw", "a chainsaw", ("Chainsaw",)),
    SoundClass("rooster", "a rooster crowing", ("Chicken, rooster", "Crowing, cock-a-doodle-doo")),
    SoundClass("fire crackling", "a crackling fire", ("Fire", "Crackle")),
)
LABELS = tuple(kind.label for kind in TEN_CLASSES)
PROMPTS = tuple(kind.prompt for kind in TEN_CLASSES)


def class_scores(tags: Sequence[str], probabilities: Tensor) -> Tensor:
    """How well each of the ten classes fits, all their tags together.

    Args:
        tags: a tagger's C labels.
        probabilities: of each tag (N, C).

    Returns:
        (N, 10), in the order of `TEN_CLASSES`.

    Raises:
        ValueError: the tagger does not know a tag: its labels are not AudioSet's.
    """
    unknown = sorted({tag for kind in TEN_CLASSES for tag in kind.tags} - set(tags))
    if unknown:
        raise ValueError(
            f"the listener does not know {', '.join(unknown[:5])}: take a tagger of AudioSet's labels"
        )
    columns = [[tags.index(tag) for tag in kind.tags] for kind in TEN_CLASSES]
    return torch.stack([probabilities[:, own].sum(dim=1) for own in columns], dim=1)
