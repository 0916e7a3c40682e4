"""Train the small text encoder and its tokenizer by distilling a sentence embedder.

    accelerate launch training/train_text_encoder.py configs/text_encoder_tiny.yaml [name=value ...]

A byte-level BPE tokenizer is trained on the phrase corpus, the teacher embeds every phrase once, and the
student learns to place phrases, also misspelt ones, where the teacher places them. Output folder:
text_encoder/, tokenizer/, log.jsonl, evaluation.json, config.yaml, checkpoints/.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from woosh.generation.text_encoder import WooshTextEncoder, load_tokenizer
from woosh.training import Run, RunConfig, TrainingStep, adamw, cosine_schedule
from woosh.training.batches import to_device
from woosh.training.command import run_recipe
from woosh.training.text_encoder.distillation import (
    CorpusSizes,
    PhraseBatch,
    PhraseBatches,
    Student,
    embedded_corpus,
    evaluate,
    start_from_teacher,
)
from woosh.training.text_encoder.sentence_embedder import embed, load_teacher
from woosh.training.text_encoder.tokenizer import save_tokenizer, train_tokenizer

BETAS = (0.9, 0.98)


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/text_encoder_tiny.yaml`."""

    run: RunConfig
    text_folder: str  # ucs.json, audioset_ontology.json, labels/
    manifest: str  # JSONL with captions
    teacher: str  # package with a `model` folder, hub name or folder of a BERT sentence embedder
    corpus: CorpusSizes
    vocabulary_size: int
    width: int
    layers: int
    heads: int
    inner_width: int
    max_tokens: int
    batch_size: int  # phrases
    length_groups: int  # parts of a batch, sorted by length and padded on their own
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    similarity_weight: float


def training_step(
    student: Student, batch: PhraseBatch, similarity_weight: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the distillation loss of a batch, and its parts.

    Both projections approach the teacher's embedding in direction, and the hidden states' mean itself
    has the teacher's matrix of cosines between the batch's phrases, since the generator sees
    the hidden states without any projection.
    """
    outputs, targets = [student(*group) for group in batch.groups], batch.targets
    mean, projected_mean, projected_first = (torch.cat(part) for part in zip(*outputs, strict=True))
    mean_distance = 1 - F.cosine_similarity(projected_mean, targets).mean()
    first_distance = 1 - F.cosine_similarity(projected_first, targets).mean()
    mean = F.normalize(mean, dim=-1)
    similarity = F.mse_loss(mean @ mean.T, targets @ targets.T)
    loss = mean_distance + first_distance + similarity_weight * similarity
    logs = {"mean": mean_distance, "first": first_distance, "similarity": similarity}
    return loss, {"loss": loss.detach(), **{name: value.detach() for name, value in logs.items()}}


def summary(results: dict[str, Any]) -> dict[str, float]:
    """What the log shows of an evaluation."""
    hidden = results["hidden_states"]
    return {name: hidden[name] for name in ("pearson", "spearman", "accuracy")}


def main(config: Config) -> None:
    """Train, save and evaluate."""
    # 1. Run
    run: Run[Student] = Run(config.run, config)

    # 2. Student, first of all: a size that cannot be is found before anything is written
    encoder = WooshTextEncoder(
        vocabulary_size=config.vocabulary_size,
        width=config.width,
        layers=config.layers,
        heads=config.heads,
        inner_width=config.inner_width,
        max_tokens=config.max_tokens,
        hidden_layer=-1,
    )

    # 3. Data: phrases with the teacher's embeddings, tokenizer
    teacher = load_teacher(config.teacher)
    with run.accelerator.main_process_first():
        corpus = embedded_corpus(
            teacher,
            run.output / "teacher.safetensors",
            Path(config.text_folder),
            Path(config.manifest),
            config.corpus,
            config.run.seed,
        )
    # A resumed run's token ids mean its own tokenizer's, even if a source has changed.
    if run.is_main and not config.run.resume:
        tokenizer = train_tokenizer(corpus.train.phrases, config.vocabulary_size, config.max_tokens)
        save_tokenizer(tokenizer, run.output / "tokenizer")
    run.accelerator.wait_for_everyone()
    tokenizer = load_tokenizer(run.output / "tokenizer")

    # 4. Start
    # No dropout: so small a student is short of capacity.
    student = Student(encoder, config.width, corpus.train.embeddings.shape[1]).eval()
    tokens = [tokenizer.decode([token]).strip() for token in range(config.vocabulary_size)]
    token_vectors = embed(teacher, tokens)
    start_from_teacher(student, token_vectors, corpus.train.embeddings)
    run.follow(student)

    # 5. Optimiser and schedule
    optimizer = adamw(student.parameters(), config.learning_rate, config.weight_decay, BETAS)
    schedule = cosine_schedule(optimizer, config.warmup_steps, config.run.steps)
    step = partial(training_step, similarity_weight=config.similarity_weight)
    train_step, updates = run.updates(TrainingStep(student, step), [optimizer], [schedule])
    run.start()

    # 6. Loop
    source = PhraseBatches(
        tokenizer, corpus.train, config.batch_size, config.length_groups, config.run.seed
    )
    for number, batch in run.batches(source):
        with run.gathering(train_step):
            with run.accelerator.autocast():
                loss, scalars = train_step(to_device(batch, run.device))
            updates.apply(loss, number)
            run.advance(scalars, config.batch_size, "phrases")
        if run.due(config.run.evaluate_every):
            average = run.averaged()
            if run.log is not None:
                run.log.write(
                    run.step, summary(evaluate(copy.deepcopy(average).cpu(), tokenizer, corpus))
                )
        if run.must_save:
            run.save()

    # 7. Save and evaluate
    average = run.averaged()
    if run.is_main and not run.stopping:
        run.export("text_encoder", average.encoder.save_pretrained)
        results = evaluate(copy.deepcopy(average).cpu(), tokenizer, corpus)
        (run.output / "evaluation.json").write_text(json.dumps(results, indent=1) + "\n")
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
