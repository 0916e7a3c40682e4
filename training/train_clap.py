"""Train an aligner: a tower for sounds and one for texts meet in one space, by contrast or from teachers.

    accelerate launch training/train_clap.py configs/clap_tiny.yaml [name=value ...]

With `teachers`, the second stage (arXiv 2408.11641): the correspondences that trained aligners estimate
take the place of "these two belong together, all others do not". With `accumulation` the contrast is over the
whole batch of a step, of which a part is embedded at a time. Output folder: clap/ (the moving average),
evaluation.json, log.jsonl, config.yaml, checkpoints/.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from woosh.data.augmentation import load_responses
from woosh.data.clips import Clip, procedural_clips
from woosh.data.sources import load_source
from woosh.embeddings.clap import ClapHead, WooshClap, load_clap, save_clap
from woosh.evaluation.aligner import evaluate_aligner
from woosh.generation.text_encoder import load_tokenizer
from woosh.taggers.log_mel import LogMel
from woosh.training import Run, RunConfig, TrainingStep, adamw, cosine_schedule
from woosh.training.aligner.caption_pairs import (
    PairAugmentation,
    PairBatch,
    PairBatches,
    streamed_pairs,
)
from woosh.training.aligner.contrastive import (
    Embedded,
    cached_losses,
    contrastive_loss,
    distillation_loss,
    gather_rows,
    same_group,
    similarity,
)
from woosh.training.aligner.steps import (
    AlignerBatch,
    MaskSizes,
    Towers,
    aligner_batch,
    averaged,
    build_audio_encoder,
    embedding_step,
    estimated_scores,
    in_styles,
)
from woosh.training.command import run_recipe
from woosh.training.conditioning import load_text_encoder
from woosh.training.cropping import CropSettings
from woosh.training.randomness import batch_generator
from woosh.training.styles import StyleConfig, style_generator

BETAS = (0.9, 0.98)


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/clap_tiny.yaml`."""

    run: RunConfig
    data: str  # manifest (JSONL beside its audio), shards, or hf:NAME
    streamed: bool  # read shards as they are needed, every clip once in a pass, instead of all into memory
    workers: int  # processes that prepare batches
    split: str
    validation_split: str | None  # of `data`; null evaluates nothing
    procedural_clips: int
    procedural_share: float  # of the draws
    audio_encoder: str  # "mobilenet", or the name of a variant of PaSST
    mobilenet_width: float  # for a fresh "mobilenet"
    audio_weights: (
        str | None
    )  # PaSST's published weights, or a tagger from which a "mobilenet" starts
    patchout_time: int  # for PaSST: columns of patches left out in training
    patchout_frequency: int  # likewise rows
    text_encoder: str  # folder, or hub name of a RoBERTa
    tokenizer: str  # folder or hub name
    max_tokens: int
    train_text: bool  # the text encoder too, not only its head
    text_pooling: str
    padding: str
    width: int  # of the common space
    temperature: float
    learned_temperature: bool
    teachers: tuple[str, ...]  # aligners whose estimates are the targets; none: contrast
    crop_seconds: float  # a multiple of the segment's 5 s
    masks: MaskSizes
    augmentation: PairAugmentation
    styles: StyleConfig
    responses: str | None  # folder of impulse responses
    batch_size: int  # pairs per process, embedded at a time; all of a step meet, over processes
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    statistics_batches: int  # from which the average's batch normalisation is measured


def training_loss(
    embedded: Embedded, groups: Tensor, teacher_scores: Tensor | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Symmetric loss over the batches of all processes.

    Args:
        embedded: sounds and texts of this process.
        groups: clips with equal numbers (B,) are positives of each other.
        teacher_scores: cosines of all clips with all captions (P B, P B) for P processes, or None.
    """
    audio, text, temperature = embedded
    scores = similarity(gather_rows(audio), gather_rows(text), temperature)  # (P B, P B)
    positives = same_group(gather_rows(groups)).to(scores.dtype)
    if teacher_scores is None:
        loss = contrastive_loss(scores, positives)
    else:
        loss = distillation_loss(scores, teacher_scores / temperature.detach())
    found = positives.gather(1, scores.argmax(dim=1, keepdim=True)).mean()
    return loss, {
        "loss": loss.detach(),
        "accuracy": found.detach(),
        "temperature": temperature.detach(),
    }


def build_clap(config: Config) -> WooshClap:
    """A new aligner: fresh heads, a MobileNet or a published PaSST, and the text encoder named."""
    text_encoder = load_text_encoder(config.text_encoder, config.max_tokens)
    patchout = {
        "patchout_time": config.patchout_time,
        "patchout_frequency": config.patchout_frequency,
    }
    audio_encoder, audio_width = build_audio_encoder(
        config.audio_encoder, config.mobilenet_width, config.audio_weights, patchout
    )
    head = ClapHead(
        audio_width=audio_width,
        text_width=text_encoder.config.width,
        width=config.width,
        text_pooling=config.text_pooling,
        padding=config.padding,
        released_mean=False,
    )
    return WooshClap(audio_encoder, head, text_encoder, load_tokenizer(config.tokenizer), LogMel())


def pair_source(config: Config, sample_rate: int, seed: int) -> Any:
    """Batches of recorded and procedural clips, one for all chunks of a step, from memory or as they are needed."""
    samples = round(config.crop_seconds * sample_rate)
    responses = load_responses(Path(config.responses), sample_rate) if config.responses else ()
    size = config.batch_size * config.run.accumulation
    settings = CropSettings(samples, size, config.augmentation, seed, responses)
    if config.streamed:
        return streamed_pairs(config.data, config.split, sample_rate, settings)
    clips = load_source(config.data, config.split, sample_rate)
    recorded = len(clips)
    clips += procedural_clips(config.procedural_clips, config.run.seed, sample_rate=sample_rate)
    share = config.procedural_share if config.procedural_clips else 0.0
    chances = np.full(len(clips), (1 - share) / recorded)
    chances[recorded:] = share / max(1, config.procedural_clips)
    return PairBatches(clips, chances, settings)


def held_out_clips(config: Config, sample_rate: int) -> list[Clip]:
    """What the aligner is evaluated on, none without a split for it.

    Raises:
        ValueError: evaluations are asked for, but no split.
    """
    if config.validation_split is not None:
        return load_source(config.data, config.validation_split, sample_rate)
    if config.run.evaluate_every:
        raise ValueError("evaluate_every is set: name validation_split too, or set it to 0")
    return []


def further_batches(config: Config, source: Any, sample_rate: int) -> Iterable[PairBatch]:
    """Batches that the training does not see, in chunks."""
    if config.streamed:
        batches = (batch for _, batch in pair_source(config, sample_rate, config.run.seed + 1))
    else:
        first = config.run.steps  # of each process, whose numbers are further apart
        batches = (source.batch(first + place) for place in range(config.statistics_batches))
    return (chunk for batch in batches for chunk in batch.chunks(config.run.accumulation))


def main(config: Config) -> None:
    """Train, save and evaluate."""
    # 1. Run
    run: Run[Towers] = Run(config.run, config)

    # 2. Model
    clap = build_clap(config)
    towers = Towers(clap, config.temperature, config.learned_temperature, config.train_text)
    run.follow(towers)
    teachers = [load_clap(name, run.device) for name in config.teachers]

    # 3. Data
    source = pair_source(config, clap.sample_rate, config.run.seed)
    held_out = held_out_clips(config, clap.sample_rate)

    # 4. Optimiser and schedule
    optimizer = adamw(towers.parameters(), config.learning_rate, config.weight_decay, BETAS)
    schedule = cosine_schedule(optimizer, config.warmup_steps, config.run.steps)
    step = TrainingStep(towers, embedding_step)
    train_step, updates = run.updates(step, [optimizer], [schedule])
    clap.log_mel.to(run.device)
    run.start()

    def embed(batch: AlignerBatch) -> Embedded:
        with run.accelerator.autocast():
            return train_step(batch)

    def averaged_clap() -> WooshClap:
        batches = further_batches(config, source, clap.sample_rate)
        return averaged(clap, run.averaged(), batches, config.statistics_batches)

    # 5. Loop
    train_step.train()
    for number, batch in run.batches(source, config.workers, per_step=1):
        generator = batch_generator(config.run.seed, number, "spectrogram masks")
        chunks = [
            aligner_batch(chunk, clap, config.masks, generator, run.device)
            for chunk in batch.chunks(config.run.accumulation)
        ]
        mixing = style_generator(config.run.seed, number)
        chunks = [in_styles(chunk, config.styles, mixing) for chunk in chunks]
        teacher = estimated_scores(teachers, batch, run.device) if teachers else None
        groups = batch.groups.to(run.device)
        loss_of = partial(training_loss, groups=groups, teacher_scores=teacher)
        losses, scalars = cached_losses(embed, chunks, loss_of)
        for loss in losses:
            with run.gathering(train_step):
                updates.apply(loss(), number)
                run.advance(scalars, config.batch_size, "pairs")
        if run.must_save:
            run.save()
        if run.must_export or run.due(config.run.evaluate_every):
            average = averaged_clap()
            if run.must_export:
                run.export("clap", partial(save_clap, average))
            if run.log is not None and run.due(config.run.evaluate_every):
                run.log.write(run.step, summary(evaluate_aligner(average, held_out)))

    # 6. Save and evaluate
    run.export("clap", partial(save_clap, averaged_clap()))
    if run.is_main and not run.stopping and held_out:
        result = evaluate_aligner(load_clap(run.output / "clap"), held_out)
        (run.output / "evaluation.json").write_text(json.dumps(result, indent=1))
        print(json.dumps(result, indent=1))


def summary(result: dict[str, Any]) -> dict[str, float]:
    """What the log shows of an evaluation."""
    accuracy = result["zero_shot_accuracy"]
    return {
        **({} if accuracy is None else {"zero_shot_accuracy": accuracy}),
        "text_to_audio_recall_at_10": result["text_to_audio"]["recall_at_10"],
        "audio_to_text_recall_at_10": result["audio_to_text"]["recall_at_10"],
    }


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
