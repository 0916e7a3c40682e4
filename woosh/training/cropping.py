"""What batches of crops of sounds share, whatever they train: their size, how sounds are varied, and their seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from woosh.data.augmentation import crop
from woosh.data.shards import shard_urls
from woosh.data.streaming import Item, ShardStream, StreamedBatches


class SoundVariation(Protocol):
    """What a recipe says of its crops' variation; each recipe has more of its own."""

    @property
    def speed(self) -> float:
        """Greatest change of speed, and of pitch with it, as a share."""
        ...

    @property
    def response_share(self) -> float:
        """Of the crops that go through an impulse response."""
        ...


Variation = TypeVar("Variation", bound=SoundVariation)


@dataclass(frozen=True)
class CropSettings(Generic[Variation]):
    """How clips become a batch of crops.

    Attributes:
        samples: length of a crop.
        batch_size: crops.
        augmentation: how they are varied.
        seed: of all draws.
        responses: impulse responses (R,) at the clips' rate.

    Raises:
        ValueError: crops are to go through responses, and there are none.
    """

    samples: int
    batch_size: int
    augmentation: Variation
    seed: int
    responses: Sequence[np.ndarray] = ()

    def __post_init__(self) -> None:
        if self.augmentation.response_share and not self.responses:
            raise ValueError("response_share is above 0, but there are no impulse responses")

    def room_for_speed(self, audio: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """A stretch of audio (..., S) that fills a crop at any speed, or all of what is shorter."""
        needed = int(np.ceil(self.samples * (1 + self.augmentation.speed))) + 1
        return crop(audio, needed, generator) if audio.shape[-1] > needed else audio

    def draw_speed(self, generator: np.random.Generator) -> float:
        """How much faster a crop is played: up to the greatest change, and as much slower."""
        return np.exp(generator.uniform(-1, 1) * np.log1p(self.augmentation.speed))

    def draw_response(self, generator: np.random.Generator) -> np.ndarray:
        """One of the impulse responses (R,)."""
        return self.responses[int(generator.integers(len(self.responses)))]


def happens(share: float, generator: np.random.Generator) -> bool:
    """Whether something happens that does so in a share of all cases; a share of 0 draws nothing."""
    return share > 0 and generator.random() < share


def streamed_batches(
    source: str,
    split: str,
    settings: CropSettings,
    make: Callable[[Sequence[tuple[str, Item]], int], Any],
) -> StreamedBatches[Any]:
    """Batches of the clips of shards, which are read as they are needed.

    Args:
        source: of the shards, see `woosh.data.shards.shard_urls`.
        split: clips of another one are left out.
        settings: of the batches.
        make: gives the batch of undecoded samples, each with its shard, and the batch's number.
    """
    stream = ShardStream(shard_urls(source), split, settings.seed)
    return StreamedBatches(stream, lambda _number: settings.batch_size, make)
