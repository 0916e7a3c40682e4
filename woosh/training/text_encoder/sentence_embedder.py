"""A sentence embedder as teacher: sentences to unit vectors whose cosines follow the meaning.

Made for all-MiniLM-L6-v2 (Apache-2.0) and other BERT models that sentence-transformers averages over
tokens. A tool of training only: nothing of it is needed to generate.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from scipy.stats import pearsonr, spearmanr
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from woosh.data.phrase_words import PARAPHRASES
from woosh.weight_files import read_safetensors
from woosh.whole_files import replacing

logger = logging.getLogger(__name__)

BATCH_SIZE = 256  # phrases


@dataclasses.dataclass(frozen=True)
class Embedded:
    """Phrases and the teacher's unit embeddings of them (N, W)."""

    phrases: tuple[str, ...]
    embeddings: Tensor


class SentenceEmbedder(NamedTuple):
    """A BERT whose averaged hidden states are embeddings of sentences, and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def mean_state(text: Tensor, mask: Tensor) -> Tensor:
    """Average hidden states (B, L, W) over the tokens of the mask (B, L)."""
    real = mask[..., None].to(text.dtype)
    return (text * real).sum(1) / real.sum(1)


def teacher_source(teacher: str) -> str:
    """Return the model folder inside an installed package of that name, or the name itself."""
    spec = importlib.util.find_spec(teacher) if teacher.isidentifier() else None
    if spec is None or spec.origin is None:
        return teacher
    return str(Path(spec.origin).parent / "model")


def load_teacher(teacher: str) -> SentenceEmbedder:
    """A sentence embedder by its name, see `teacher_source`.

    Raises:
        FileNotFoundError: it is not installed, and neither a folder nor on the hub.
    """
    from transformers import AutoModel, AutoTokenizer

    name = teacher_source(teacher)
    try:
        model = AutoModel.from_pretrained(name, dtype=torch.bfloat16).eval()
        return SentenceEmbedder(model, AutoTokenizer.from_pretrained(name))
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"no sentence embedder {teacher!r}: install its package, or name as teacher a folder or a hub name of a "
            "BERT sentence embedder"
        ) from error


def teacher_words(tokenizer: PreTrainedTokenizerBase, count: int) -> list[str]:
    """Return the most frequent whole words of the teacher's vocabulary, which is in that order."""
    entries = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return [word for word, _ in entries if re.fullmatch("[a-z]{3,}", word)][:count]


@torch.inference_mode()
def embed(teacher: SentenceEmbedder, phrases: Sequence[str]) -> Tensor:
    """Embed phrases as sentence-transformers does: mean over tokens, then unit length (N, W)."""
    order = sorted(range(len(phrases)), key=lambda index: len(phrases[index]))
    embeddings = torch.empty(len(phrases), teacher.model.config.hidden_size)
    for start in range(0, len(order), BATCH_SIZE):
        logger.info("teacher: %d of %d phrases", start, len(order))
        rows = order[start : start + BATCH_SIZE]
        inputs = teacher.tokenizer(
            [phrases[row] for row in rows], return_tensors="pt", padding=True, truncation=True
        )
        text = teacher.model(**inputs).last_hidden_state
        embeddings[rows] = F.normalize(mean_state(text, inputs.attention_mask).float(), dim=-1)
    return embeddings


def cached_embeddings(path: Path, teacher: SentenceEmbedder, phrases: Sequence[str]) -> Tensor:
    """Return the phrases' embeddings, computing only those that the file of an earlier run lacks.

    The file is written anew with this call's phrases; one of another teacher is not used.

    Raises:
        ValueError: the file is damaged.
    """
    name = teacher.model.config._name_or_path
    rows: dict[str, int] = {}
    cached = torch.empty(0, teacher.model.config.hidden_size)
    if path.is_file():
        tensors, facts = read_safetensors(path)
        if facts.get("teacher") == name:
            known = facts.get("phrases", "").split("\n")
            rows = {phrase: row for row, phrase in enumerate(known)}
            cached, width = tensors.get("embeddings", cached).float(), cached.shape[1]
            if cached.shape != (len(known), width):
                raise ValueError(f"{path} holds no embedding for each of its phrases: delete it")
    missing = [phrase for phrase in phrases if phrase not in rows]
    if missing:
        rows |= {phrase: len(cached) + row for row, phrase in enumerate(missing)}
        cached = torch.cat([cached, embed(teacher, missing).half().float()])
    embeddings = cached[[rows[phrase] for phrase in phrases]]
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"teacher": str(name), "phrases": "\n".join(phrases)}
    with replacing(path) as part:
        save_file({"embeddings": embeddings.half()}, part, metadata=facts)
    return embeddings


def correlations(student: Tensor, teacher: Tensor) -> dict[str, float]:
    """Correlate the cosines of all pairs of unit vectors (N, W) of student and teacher."""
    pairs = np.triu_indices(len(teacher), 1)
    student_cosines = (student @ student.T).numpy()[pairs]
    teacher_cosines = (teacher @ teacher.T).numpy()[pairs]
    return {
        "pearson": float(pearsonr(student_cosines, teacher_cosines).statistic),
        "spearman": float(spearmanr(student_cosines, teacher_cosines).statistic),
    }


def retrieval(
    captions: Sequence[str], caption_vectors: Tensor, vectors: Tensor
) -> dict[str, list[str]]:
    """Return, per class, the paraphrases whose nearest caption is of another class, with that caption."""
    rows = (vectors @ caption_vectors.T).argmax(1).tolist()
    nearest = iter([captions[int(row)] for row in rows])
    wrong: dict[str, list[str]] = {}
    for name, (pattern, paraphrases) in PARAPHRASES.items():
        found = [(paraphrase, next(nearest)) for paraphrase in paraphrases]
        wrong[name] = [f"{said} -> {got}" for said, got in found if not re.search(pattern, got)]
    return wrong
