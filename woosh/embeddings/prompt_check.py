"""Whether a sound is heard as its prompt asks: the labels that the words are near to, against what a tagger hears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from woosh.audio import resample
from woosh.catalogue import DEFAULT_MODEL, DEFAULT_TAGGER, find_model, part_folders
from woosh.embeddings.tagging import Tagger, load_ear
from woosh.generation.loading import load_part
from woosh.generation.text_encoder import WooshTextEncoder, tokenize
from woosh.taggers.ucs import read_mapping

NEAREST = 3  # labels that a prompt can ask for
NEAR = 0.65  # least cosine between a prompt and a label that it asks for
HEARD = 10  # labels that a sound is heard as


@dataclass(frozen=True)
class PromptEar:
    """Hears sounds and compares them with what was asked for.

    Attributes:
        tagger: whose labels have categories of UCS.
        text_encoder: of the words, with its tokenizer.
        mean: of the labels' vectors (W,), which is taken from all: what all have in common tells nothing.
        vectors: of the labels' names and of the parts of these, of length 1 (N, W).
        owners: number of the label that each of these is of (N,).
    """

    tagger: Tagger
    text_encoder: WooshTextEncoder
    tokenizer: PreTrainedTokenizerBase
    mean: Tensor
    vectors: Tensor
    owners: Tensor

    def asked(self, prompt: str) -> tuple[str, ...]:
        """The labels that a prompt asks for, the nearest first; none where its words are near to none."""
        vector = mean_states(self.text_encoder, self.tokenizer, [prompt]) - self.mean
        nearness = self.vectors @ functional.normalize(vector[0], dim=0)  # (N,)
        count = len(self.tagger.labels)
        best = torch.full((count,), -1.0).scatter_reduce(0, self.owners, nearness, "amax")
        values, places = best.topk(min(NEAREST, count))
        pairs = zip(values.tolist(), places.tolist(), strict=True)
        return tuple(self.tagger.labels[place] for value, place in pairs if value >= NEAR)

    def probabilities(self, audio: np.ndarray, sample_rate: int) -> Tensor:
        """How probable each of the tagger's labels is (N,) in a sound (channels, samples)."""
        mono = audio.mean(axis=0, keepdims=True)
        mono = resample(mono, sample_rate, self.tagger.embedder.sample_rate)[0]
        return self.tagger.scores(torch.from_numpy(np.ascontiguousarray(mono)))

    def heard(self, audio: np.ndarray, sample_rate: int) -> tuple[str, ...]:
        """The labels that are heard first in a sound (channels, samples), the most probable first."""
        scores = self.probabilities(audio, sample_rate)
        return tuple(tag.label for tag in self.tagger.best(scores, HEARD))

    def misheard(self, prompt: str, audio: np.ndarray, sample_rate: int) -> tuple[str, ...]:
        """The labels that are heard instead of what a prompt asks for; none if it is heard, or asks for no label.

        A label of the same category of UCS counts as the one that was asked for.
        """
        asked = self.asked(prompt)
        if not asked:
            return ()
        heard = self.heard(audio, sample_rate)
        kinds = {kind for kind in map(kind_of, asked) if kind}
        if any(label in asked or kind_of(label) in kinds for label in heard):
            return ()
        return heard


def kind_of(label: str) -> str | None:
    """The category of UCS that a label stands for, if it stands for one."""
    category = read_mapping().get(label)
    return None if category is None else category.catid


def mean_states(
    text_encoder: WooshTextEncoder, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> Tensor:
    """The mean hidden state (B, W) of the words of each text, those of one number of tokens computed together."""
    ids, mask = tokenize(tokenizer, texts, text_encoder.config.max_tokens)
    lengths = mask.sum(dim=1)
    means = torch.empty(len(texts), text_encoder.config.width)
    with torch.inference_mode():
        for length in lengths.unique().tolist():
            rows = (lengths == length).nonzero()[:, 0]
            states = text_encoder(ids[rows, :length], mask[rows, :length])
            means[rows] = states.mean(dim=1).float()
    return means


def load_prompt_ear() -> PromptEar:
    """The built-in tagger with the text encoder of the built-in model, on the CPU."""
    tagger = load_ear(DEFAULT_TAGGER)
    parts = part_folders(find_model(DEFAULT_MODEL))
    text_encoder = load_part("text_encoder", parts["text_encoder"], torch.float32).eval()
    tokenizer = load_part("tokenizer", parts["tokenizer"])
    named = [
        (part, number)
        for number, label in enumerate(tagger.labels)
        for part in dict.fromkeys((label.lower(), *label.lower().split(", ")))
    ]
    vectors = mean_states(text_encoder, tokenizer, [part for part, _ in named])
    mean = vectors.mean(dim=0)
    return PromptEar(
        tagger,
        text_encoder,
        tokenizer,
        mean,
        functional.normalize(vectors - mean, dim=1),
        torch.tensor([number for _, number in named]),
    )
