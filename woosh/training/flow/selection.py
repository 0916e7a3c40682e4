"""Which latents are heard as what their captions say: of recordings, and the best of several sounds of a flow.

What is heard is what the rewards' listeners hear (`woosh.training.flow.rewards`), what a caption asks for is what the
command's check of prompts takes it for (`woosh.embeddings.prompt_check`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from woosh.embeddings.prompt_check import PromptEar
from woosh.training.flow.rewards import Heard

TAGGER_WEIGHT, WORDS_WEIGHT = 2.0, 1.0  # of a sound's ranks among those of its prompt


@dataclass
class Wishes:
    """What captions ask a tagger to hear; each caption is looked up once.

    Args:
        ear: that knows which labels words are near to.
        labels: of the tagger that listens.
    """

    ear: PromptEar
    labels: Sequence[str]
    known: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def places(self, caption: str) -> tuple[int, ...]:
        """Numbers of the labels of which one should be heard; none where the words are near to no label."""
        if caption not in self.known:
            wanted = self.ear.asked(caption) if caption else ()
            self.known[caption] = tuple(
                place for place, label in enumerate(self.labels) if label in wanted
            )
        return self.known[caption]


def is_heard(probabilities: Tensor, places: Sequence[int], among: int) -> Tensor:
    """Whether one of the labels at `places` is among the most probable ones: (..., L) -> (...)."""
    best = probabilities.topk(min(among, probabilities.shape[-1])).indices
    return torch.isin(best, torch.tensor(places, device=best.device)).any(dim=-1)


def best_of(heard: Heard, asked: Tensor, places: Sequence[int]) -> int:
    """Number of the sound, of those of one prompt, that is heard best: its ranks by tagger and aligner, weighed, in sum.

    Args:
        heard: of the prompt's sounds, probabilities (K, L) and embeddings (K, D).
        asked: the aligner's embedding of the prompt (D,).
        places: numbers of the labels that should be heard.
    """
    named = heard.probabilities[:, list(places)].amax(dim=1)
    words = heard.embeddings @ functional.normalize(asked, dim=0)
    total = TAGGER_WEIGHT * _ranks(named) + WORDS_WEIGHT * _ranks(words)
    return int(total.argmax())


def _ranks(values: Tensor) -> Tensor:
    """Place of each value in ascending order (K,)."""
    return values.argsort().argsort().float()
