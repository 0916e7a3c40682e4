"""The best of several takes, chosen by the built-in aligner and tagger, and by when it begins what it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional

from woosh.audio import resample
from woosh.catalogue import DEFAULT_ALIGNER
from woosh.embeddings.embedders import Embedder, load_embedder
from woosh.embeddings.prompt_check import PromptEar, kind_of, load_prompt_ear
from woosh.metrics.onsets import onset_f_measure
from woosh.metrics.synchrony import onsets_of

# Of words the tagger's choice agrees with a stranger's ear and the aligner's alone hardly does: it settles what the tagger
# leaves open. Of likeness to a sound the aligner knows as much.
ALIGNER_WEIGHT, TAGGER_WEIGHT, LIKENESS_WEIGHT, ONSET_WEIGHT = 1, 2, 1, 2
TOLERANCE_SECONDS = 0.1  # of an onset from its moment
SILENT_PEAK = 1e-4


@dataclass(frozen=True)
class Wish:
    """What takes should be like.

    Attributes:
        vector: of the aligner, of length 1 (D,); None where nothing is said or heard.
        labels: of the tagger, one of which should be heard; none asks for no label.
        heard: how probable each of the tagger's labels should be (N,); None where no sound says it.
        moments: at which something should begin, in seconds and ascending; None where they are not known.
    """

    vector: Tensor | None = None
    labels: tuple[str, ...] = ()
    heard: Tensor | None = None
    moments: Sequence[float] | None = None

    @property
    def empty(self) -> bool:
        """Whether it says nothing by which takes could be told apart."""
        return self.vector is None and self.moments is None


@dataclass(frozen=True)
class Judge:
    """The ears that choose: an aligner that knows texts, and a tagger."""

    aligner: Embedder
    ear: PromptEar

    def wish_of_words(self, prompt: str) -> Wish:
        """What a prompt asks for; the empty one asks for nothing."""
        if not prompt or self.aligner.text is None:
            return Wish()
        vector = functional.normalize(self.aligner.text([prompt])[0], dim=0)
        return Wish(vector, self._of_the_same_kinds(self.ear.asked(prompt)))

    def wish_of_sound(self, sound: np.ndarray, sample_rate: int) -> Wish:
        """More of what is heard in a sound (C, S)."""
        heard = self.ear.probabilities(sound, sample_rate)
        return Wish(self._embed(sound, sample_rate), heard=heard)

    def best(self, wish: Wish, takes: Sequence[np.ndarray] | np.ndarray, sample_rate: int) -> int:
        """Number of the take (C, S) whose weighted ranks among all, by each thing wished for, are best in sum.

        Of equals it is the first. A silent take is chosen only if all are.
        """
        total = np.zeros(len(takes))
        if wish.vector is not None:
            nearness = [float(self._embed(take, sample_rate) @ wish.vector) for take in takes]
            total += ALIGNER_WEIGHT * rankdata(nearness)
        if wish.labels:
            places = [self.ear.tagger.labels.index(label) for label in wish.labels]
            heard = [self.ear.probabilities(take, sample_rate)[places] for take in takes]
            total += TAGGER_WEIGHT * rankdata([float(of_labels.max()) for of_labels in heard])
        if wish.heard is not None:
            heard = [self.ear.probabilities(take, sample_rate) for take in takes]
            likeness = [float(functional.cosine_similarity(p, wish.heard, dim=0)) for p in heard]
            total += LIKENESS_WEIGHT * rankdata(likeness)
        if wish.moments is not None:
            wanted = torch.tensor(wish.moments)
            found = [torch.tensor(onsets_of(torch.from_numpy(take), sample_rate)) for take in takes]
            agreement = [onset_f_measure(wanted, times, TOLERANCE_SECONDS) for times in found]
            total += ONSET_WEIGHT * rankdata(agreement)
        silent = [np.abs(take).max(initial=0.0) < SILENT_PEAK for take in takes]
        return int(np.argmax(np.where(silent, -1.0, total)))

    def chooser(self, wish: Wish, sample_rate: int) -> Callable[[np.ndarray], int]:
        """What `draw_take` chooses by: `best` of sounds at a rate."""
        return lambda takes: self.best(wish, list(takes), sample_rate)

    def _embed(self, sound: np.ndarray, sample_rate: int) -> Tensor:
        mono = resample(sound.mean(axis=0, keepdims=True), sample_rate, self.aligner.sample_rate)[0]
        return functional.normalize(
            self.aligner.embed(torch.from_numpy(np.ascontiguousarray(mono))), dim=0
        )

    def _of_the_same_kinds(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Labels, and those that stand for the same categories of UCS."""
        kinds = {kind for kind in map(kind_of, labels) if kind}
        known = self.ear.tagger.labels
        return tuple(label for label in known if label in labels or kind_of(label) in kinds)


def load_judge() -> Judge:
    """The built-in ears, on the CPU."""
    return Judge(load_embedder(DEFAULT_ALIGNER), load_prompt_ear())
