"""Train the small text encoder and its tokenizer by distilling a sentence embedder.

    accelerate launch training/train_text_encoder.py configs/text_encoder_tiny.yaml [name=value ...]

A byte-level BPE tokenizer is trained on the phrase corpus, the teacher embeds every phrase once, and the
student learns to place phrases, also misspelt ones, where the teacher places them. Output folder:
text_encoder/, tokenizer/, log.jsonl, evaluation.json, config.yaml, checkpoint/.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import (
    AutoModel,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from woosh.config import load_config
from woosh.phrase_words import PARAPHRASES
from woosh.phrases import build_phrases, caption_phrases, save_tokenizer, train_tokenizer, varied
from woosh.sentence_embedder import (
    Embedded,
    cached_embeddings,
    correlations,
    embed,
    mean_state,
    retrieval,
    teacher_source,
    teacher_words,
)
from woosh.text import WooshTextEncoder, load_tokenizer
from woosh.training import (
    Log,
    Progress,
    Updates,
    cosine_schedule,
    moving_average,
    resume_checkpoint,
    save_checkpoint,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/text_encoder_tiny.yaml`."""

    output: str
    text_folder: str  # ucs.json, audioset_ontology.json, labels/
    manifest: str  # JSONL with captions
    teacher: str  # package with a `model` folder, hub name or folder of a BERT sentence embedder
    phrases: int  # size of the corpus
    teacher_words: int  # single words taken from the teacher's vocabulary
    held_out: int  # phrases of the corpus kept for evaluation
    vocabulary_size: int
    width: int
    layers: int
    heads: int
    inner_width: int
    max_tokens: int
    steps: int
    batch_size: int  # phrases
    length_groups: int  # parts of a batch, sorted by length and padded on their own
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    similarity_weight: float
    ema_decay: float
    clip_norm: float
    non_finite: str  # "stop" or "skip", when a loss or a gradient is NaN or infinite
    precision: str  # "no" or "bf16"
    seed: int
    log_every: int
    save_every: int
    resume: bool  # continue from the output folder's checkpoint


@dataclasses.dataclass(frozen=True)
class Corpus:
    """What is learnt from, and the three sets of the evaluation."""

    train: Embedded
    held_out: Embedded
    captions: Embedded
    paraphrases: Embedded


@dataclasses.dataclass(frozen=True)
class Batch:
    """Phrases sorted by length: per group input_ids and attention_mask (G, L), and targets (B, W)."""

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


def training_step(
    student: nn.Module, batch: Batch, similarity_weight: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the distillation loss.

    Both projections approach the teacher's embedding in direction, and the hidden states' mean itself
    has the teacher's matrix of cosines between the batch's phrases, since the generator sees
    the hidden states without any projection.
    """
    outputs = [student(input_ids, mask) for input_ids, mask in batch.groups]
    mean, projected_mean, projected_first = (torch.cat(part) for part in zip(*outputs, strict=True))
    mean_distance = 1 - F.cosine_similarity(projected_mean, batch.targets).mean()
    first_distance = 1 - F.cosine_similarity(projected_first, batch.targets).mean()
    mean = F.normalize(mean, dim=-1)
    similarity = F.mse_loss(mean @ mean.T, batch.targets @ batch.targets.T)
    loss = mean_distance + first_distance + similarity_weight * similarity
    logs = {"mean": mean_distance, "first": first_distance, "similarity": similarity}
    return loss, {"loss": loss.detach(), **{name: value.detach() for name, value in logs.items()}}


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


def draw_batch(
    tokenizer: PreTrainedTokenizerBase,
    train: Embedded,
    config: Config,
    step: int,
) -> Batch:
    """Draw the batch of a step; it follows from seed and step alone, so that training can resume.

    The first phrase, the empty one, is in every batch: guidance leans on it in every generation.
    """
    random_source = random.Random(f"{config.seed} {step}")
    rows = [0, *random_source.choices(range(len(train.phrases)), k=config.batch_size - 1)]
    rows.sort(key=lambda row: len(train.phrases[row]))
    texts = [varied(train.phrases[row], random_source) for row in rows]
    size = math.ceil(len(texts) / config.length_groups)
    groups = []
    for start in range(0, len(texts), size):
        inputs = tokenizer(
            texts[start : start + size], return_tensors="pt", padding=True, truncation=True
        )
        groups.append((inputs.input_ids, inputs.attention_mask))
    return Batch(tuple(groups), train.embeddings[rows])


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
    config: Config, teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, cache: Path
) -> Corpus:
    """Build the phrases, let the teacher embed them, and set the evaluation's aside."""
    manifest = Path(config.manifest)
    paraphrases = tuple(text for _, texts in PARAPHRASES.values() for text in texts)
    phrases = build_phrases(
        Path(config.text_folder),
        manifest,
        config.phrases,
        config.seed,
        words=teacher_words(tokenizer, config.teacher_words),
        excluded=paraphrases,
    )
    everything = tuple(dict.fromkeys((*phrases, *caption_phrases(manifest), *paraphrases)))
    embeddings = cached_embeddings(cache, teacher, tokenizer, everything)
    rows = {phrase: row for row, phrase in enumerate(everything)}
    held_out = set(random.Random(config.seed).sample(phrases[1:], config.held_out))

    def part(texts: Iterable[str]) -> Embedded:
        texts = tuple(texts)
        return Embedded(texts, embeddings[[rows[text] for text in texts]])

    return Corpus(
        train=part(phrase for phrase in phrases if phrase not in held_out),
        held_out=part(phrase for phrase in phrases if phrase in held_out),
        captions=part(caption_phrases(manifest)),
        paraphrases=part(paraphrases),
    )


def main(config: Config) -> None:
    """Train, save and evaluate."""
    # 1. Accelerator
    set_seed(config.seed)
    accelerator = Accelerator(cpu=True, mixed_precision=config.precision)
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)

    # 2. Data: phrases with the teacher's embeddings, tokenizer
    source = teacher_source(config.teacher)
    teacher = AutoModel.from_pretrained(source, dtype=torch.bfloat16).eval()
    teacher_tokenizer = AutoTokenizer.from_pretrained(source)
    corpus = embedded_corpus(config, teacher, teacher_tokenizer, output / "teacher.safetensors")
    if (
        config.resume
    ):  # the checkpoint's token ids mean this tokenizer's, even if a source has changed
        tokenizer = load_tokenizer(output / "tokenizer")
    else:
        tokenizer = train_tokenizer(corpus.train.phrases, config.vocabulary_size, config.max_tokens)
        save_tokenizer(tokenizer, output / "tokenizer")

    # 3. Model
    encoder = WooshTextEncoder(
        vocabulary_size=config.vocabulary_size,
        width=config.width,
        layers=config.layers,
        heads=config.heads,
        inner_width=config.inner_width,
        max_tokens=config.max_tokens,
        hidden_layer=-1,
    )
    # No dropout: so small a student is short of capacity, and a resumed run needs no random state.
    student = Student(encoder, config.width, corpus.train.embeddings.shape[1]).eval()
    tokens = [tokenizer.decode([token]).strip() for token in range(config.vocabulary_size)]
    token_vectors = embed(teacher, teacher_tokenizer, tokens)
    start_from_teacher(student, token_vectors, corpus.train.embeddings)

    # 4. Optimiser and schedule
    optimizer = torch.optim.AdamW(
        student.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        betas=(0.9, 0.98),
    )
    schedule = cosine_schedule(optimizer, config.warmup_steps, config.steps)
    average = moving_average(student, config.ema_decay)

    # 5. Prepare and resume
    student, optimizer, schedule = accelerator.prepare(student, optimizer, schedule)
    progress = Progress()
    accelerator.register_for_checkpointing(average, progress)
    if config.resume:
        resume_checkpoint(accelerator, output / "checkpoint")

    updates = Updates(
        accelerator,
        [optimizer],
        [schedule],
        student.parameters(),
        config.clip_norm,
        config.non_finite,
        output,
        progress,
    )

    # 6. Loop
    log = Log(output, config, progress.step)
    bar = tqdm(range(progress.step, config.steps), initial=progress.step, total=config.steps)
    for step in bar:
        batch = draw_batch(tokenizer, corpus.train, config, step)
        loss, logs = training_step(student, batch, config.similarity_weight)
        updates.apply(loss, step)
        average.update_parameters(accelerator.unwrap_model(student))
        progress.step = step + 1
        bar.set_postfix(loss=f"{logs['loss'].item():.4f}")
        if progress.step % config.log_every == 0:
            scalars = {name: value.item() for name, value in logs.items()}
            scalars |= {"gradient_norm": updates.gradient_norm, "skipped": updates.skipped}
            log.write(progress.step, scalars, config.log_every * config.batch_size, "phrases")
        due = progress.step % config.save_every == 0 or progress.step == config.steps
        if due or updates.stopping:
            save_checkpoint(accelerator, output / "checkpoint")
        if updates.stopping:
            return

    # 7. Save
    averaged = cast(Student, average.module)
    averaged.encoder.save_pretrained(output / "text_encoder")

    # 8. Evaluate
    results = evaluate(averaged, tokenizer, corpus)
    (output / "evaluation.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="name=value")
    arguments = parser.parse_args()
    main(load_config(Config, arguments.config, arguments.overrides))
