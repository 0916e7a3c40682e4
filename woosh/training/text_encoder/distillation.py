"""What distilling a sentence embedder into a small text encoder takes beside its loss: corpus, student, evaluation."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from woosh.data.phrase_words import PARAPHRASES
from woosh.data.phrases import build_phrases, caption_phrases, varied
from woosh.generation.text_encoder import WooshTextEncoder
from woosh.training.text_encoder.sentence_embedder import (
    Embedded,
    SentenceEmbedder,
    cached_embeddings,
    correlations,
    mean_state,
    retrieval,
    teacher_words,
)


@dataclasses.dataclass(frozen=True)
class CorpusSizes:
    """How many phrases there are of each kind."""

    phrases: int  # of the corpus
    teacher_words: int  # single words taken from the teacher's vocabulary
    held_out: int  # phrases of the corpus kept for evaluation


@dataclasses.dataclass(frozen=True)
class Corpus:
    """What is learnt from, and the three sets of the evaluation."""

    train: Embedded
    held_out: Embedded
    captions: Embedded
    paraphrases: Embedded


@dataclasses.dataclass(frozen=True)
class PhraseBatch:
    """What a training step sees: phrases sorted by length.

    Attributes:
        groups: input_ids and attention_mask of a part of the phrases, both (G, L), each with an L of its own.
        targets: the teacher's unit embeddings of all (B, W).
    """

    groups: tuple[tuple[Tensor, Tensor], ...]
    targets: Tensor


class Student(nn.Module):
    """The encoder with two projections to the teacher's space that exist in training only."""

    def __init__(self, encoder: WooshTextEncoder, width: int, teacher_width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.project_mean = nn.Linear(width, teacher_width)
        self.project_first = nn.Linear(width, teacher_width)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean hidden state (G, W), and the projections of it and of the first one."""
        text = self.encoder(input_ids, attention_mask)
        mean = mean_state(text, attention_mask)
        return mean, self.project_mean(mean), self.project_first(text[:, 0])


@torch.no_grad()
def start_from_teacher(student: Student, token_vectors: Tensor, embeddings: Tensor) -> None:
    """Start the student as a bag of words in the teacher's space, to train fewer steps.

    The right singular vectors of the corpus's embeddings carry the teacher's space to the student's
    width: token embeddings begin as the teacher's embeddings of the tokens' texts (V, W) in these
    coordinates, the projections as the way back.
    """
    width = student.project_mean.in_features
    _, basis = torch.linalg.eigh(embeddings.T @ embeddings)  # ascending eigenvalues
    basis = basis[:, -width:]
    words = token_vectors @ basis
    table = student.encoder.model.get_input_embeddings().weight
    table.copy_(words / words.std() * 0.1)  # above the 0.02 of the positions that are added
    for projection in (student.project_mean, student.project_first):
        projection.weight.copy_(basis / width**0.5)
        projection.bias.zero_()


class PhraseBatches:
    """Batches of phrases; each follows from the seed and its number alone.

    The first phrase, the empty one, is in every batch: guidance leans on it in every generation.

    Args:
        tokenizer: of the student.
        train: phrases and embeddings.
        size: phrases of a batch.
        groups: parts of a batch, sorted by length and padded on their own.
        seed: of all draws.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, train: Embedded, size: int, groups: int, seed: int
    ) -> None:
        self.tokenizer, self.train, self.size = tokenizer, train, size
        self.groups, self.seed = groups, seed

    def batch(self, number: int) -> PhraseBatch:
        """Draw batch `number`."""
        phrases = self.train.phrases
        random_source = random.Random(f"{self.seed} {number}")
        rows = [0, *random_source.choices(range(len(phrases)), k=self.size - 1)]
        rows.sort(key=lambda row: len(phrases[row]))
        texts = [varied(phrases[row], random_source) for row in rows]
        size = math.ceil(len(texts) / self.groups)
        groups = []
        for start in range(0, len(texts), size):
            inputs = self.tokenizer(
                texts[start : start + size], return_tensors="pt", padding=True, truncation=True
            )
            groups.append((inputs.input_ids, inputs.attention_mask))
        return PhraseBatch(tuple(groups), self.train.embeddings[rows])


@torch.inference_mode()
def encode(
    student: Student, tokenizer: PreTrainedTokenizerBase, phrases: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Return the unit mean hidden states (N, W) and their unit projections of all phrases."""
    means, projections = [], []
    for start in range(0, len(phrases), 256):
        inputs = tokenizer(
            list(phrases[start : start + 256]), return_tensors="pt", padding=True, truncation=True
        )
        mean, projection, _ = student(inputs.input_ids, inputs.attention_mask)
        means.append(F.normalize(mean, dim=-1))
        projections.append(F.normalize(projection, dim=-1))
    return torch.cat(means), torch.cat(projections)


def evaluate(
    student: Student, tokenizer: PreTrainedTokenizerBase, corpus: Corpus
) -> dict[str, object]:
    """Compare student and teacher on held-out phrases and on paraphrases of the ten judged classes.

    The correlations are those of all pairs' cosines with the teacher's; the accuracy is the share of
    paraphrases whose nearest caption of the data set is of their class.
    """
    parts = (corpus.held_out, corpus.captions, corpus.paraphrases)
    encoded = [encode(student, tokenizer, part.phrases) for part in parts]
    vectors = {
        "hidden_states": [means for means, _ in encoded],
        "projected": [projections for _, projections in encoded],
        "teacher": [part.embeddings for part in parts],
    }
    results: dict[str, object] = {"paraphrases": len(corpus.paraphrases.phrases)}
    for name, (held_out, captions, paraphrases) in vectors.items():
        wrong = retrieval(corpus.captions.phrases, captions, paraphrases)
        results[name] = {
            **correlations(held_out, corpus.held_out.embeddings),
            "accuracy": 1 - sum(map(len, wrong.values())) / len(paraphrases),
            "wrong": {label: found for label, found in wrong.items() if found},
        }
    return results


def embedded_corpus(
    teacher: SentenceEmbedder,
    cache: Path,
    text_folder: Path,
    manifest: Path,
    sizes: CorpusSizes,
    seed: int,
) -> Corpus:
    """Build the phrases, let the teacher embed them, and set the evaluation's aside.

    Args:
        teacher: that embeds.
        cache: file of its embeddings, which later runs reuse.
        text_folder: ucs.json, audioset_ontology.json, labels/.
        manifest: JSONL with captions.
        sizes: of the parts.
        seed: of the draws.
    """
    paraphrases = tuple(text for _, texts in PARAPHRASES.values() for text in texts)
    phrases = build_phrases(
        text_folder,
        manifest,
        sizes.phrases,
        seed,
        words=teacher_words(teacher.tokenizer, sizes.teacher_words),
        excluded=paraphrases,
    )
    everything = tuple(dict.fromkeys((*phrases, *caption_phrases(manifest), *paraphrases)))
    embeddings = cached_embeddings(cache, teacher, everything)
    rows = {phrase: row for row, phrase in enumerate(everything)}
    held_out = set(random.Random(seed).sample(phrases[1:], sizes.held_out))

    def part(texts: Iterable[str]) -> Embedded:
        texts = tuple(texts)
        return Embedded(texts, embeddings[[rows[text] for text in texts]])

    return Corpus(
        train=part(phrase for phrase in phrases if phrase not in held_out),
        held_out=part(phrase for phrase in phrases if phrase in held_out),
        captions=part(caption_phrases(manifest)),
        paraphrases=part(paraphrases),
    )
