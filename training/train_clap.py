"""Train an aligner: a tower for sounds and one for texts meet in one space, by contrast or from teachers.

    accelerate launch training/train_clap.py configs/clap_tiny.yaml [name=value ...]

With `teachers`, the second stage (arXiv 2408.11641): the correspondences that trained aligners estimate
take the place of "these two belong together, all others do not". Output folder: clap/ (the moving
average), evaluation.json, log.jsonl, config.yaml, checkpoint/.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from woosh.augmentation import load_responses
from woosh.caption_pairs import Augmentation, PairBatch, PairBatches
from woosh.clap import (
    SEGMENT_SECONDS,
    ClapHead,
    WooshClap,
    cut_segments,
    features_of,
    load_clap,
    normalise_text,
    rounded_segments,
    save_clap,
)
from woosh.config import load_config
from woosh.contrastive import (
    Temperature,
    contrastive_loss,
    distillation_loss,
    gather_rows,
    same_group,
    similarity,
)
from woosh.data.sources import load_source
from woosh.datasets import NumberedBatches, procedural_clips
from woosh.log_mel import LogMel
from woosh.mobilenet import MobileNet
from woosh.passt_weights import load_passt
from woosh.text import load_text_encoder, load_tokenizer, tokenize
from woosh.training import (
    Log,
    Objective,
    Progress,
    Updates,
    cosine_schedule,
    moving_average,
    resume_checkpoint,
    save_checkpoint,
)
from woosh.zero_shot import evaluate_aligner

SCALARS: tuple[str, ...] = ("loss", "accuracy", "temperature")  # averaged in the log


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/clap_tiny.yaml`."""

    output: str
    data: str  # manifest (JSONL beside its audio), shards, or hf:NAME
    split: str
    validation_split: str
    procedural_clips: int
    procedural_share: float  # of the draws
    audio_encoder: str  # "mobilenet", or the name of a variant of PaSST
    mobilenet_width: float  # for "mobilenet"
    audio_weights: str | None  # published weights, for PaSST
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
    frequency_mask: int  # widest, in bands
    time_mask: int  # longest, in frames
    speed: float
    colour_decibels: float
    mixed_share: float
    joined_share: float
    responses: str | None  # folder of impulse responses
    response_share: float
    polarity_share: float
    word_dropout: float
    punctuation_dropout: float
    batch_size: int  # pairs per process; they meet over all processes
    workers: int  # that prepare batches
    steps: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    ema_decay: float
    clip_norm: float
    non_finite: str  # "stop" or "skip", when a loss or a gradient is NaN or infinite
    statistics_batches: int  # from which the average's batch normalisation is measured
    precision: str  # "no", "bf16" or "fp16"
    seed: int
    log_every: int
    save_every: int
    resume: bool  # continue from the output folder's checkpoint


class Towers(nn.Module):
    """What is trained: both towers, their heads and the temperature."""

    def __init__(
        self, clap: WooshClap, temperature: float, learned_temperature: bool, train_text: bool
    ) -> None:
        super().__init__()
        self.audio_encoder, self.head = clap.audio_encoder, clap.head
        self.text_encoder = clap.text_encoder.requires_grad_(train_text)
        self.temperature = Temperature(temperature, learned_temperature)
        self.train_text = train_text

    def train(self, mode: bool = True) -> Towers:
        """A locked text encoder stays in evaluation mode."""
        super().train(mode)
        self.text_encoder.train(mode and self.train_text)
        return self


def training_step(
    model: Towers,
    log_mel: Tensor,
    counts: Tensor,
    input_ids: Tensor,
    mask: Tensor,
    groups: Tensor,
    teacher_scores: Tensor | None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Symmetric loss over the batches of all processes.

    Args:
        model: the towers.
        log_mel: of all segments, those of the first clip first (N, bands, T).
        counts: segments of each clip (B,), N in all.
        input_ids: of the captions (B, L).
        mask: of their real tokens (B, L).
        groups: clips with equal numbers (B,) are positives of each other.
        teacher_scores: cosines of all clips with all captions (P B, P B) for P processes, or None.
    """
    features = features_of(model.audio_encoder, log_mel)  # (N, audio_width)
    means = torch.stack([part.mean(dim=0) for part in features.split(counts.tolist())])
    audio = functional.normalize(model.head.audio(means), dim=-1).float()  # (B, D)
    states = model.text_encoder(input_ids, mask)
    text = model.head.embed_states(states, mask).float()  # (B, D)
    temperature = model.temperature()
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


@torch.no_grad()
def estimated_scores(
    teachers: Sequence[WooshClap], batch: PairBatch, device: torch.device
) -> Tensor:
    """The teachers' mean cosines of all clips with all captions of all processes (P B, P B)."""
    audio, lengths = batch.audio.to(device), batch.lengths
    scores = [
        gather_rows(teacher.embed_audio(audio, lengths))
        @ gather_rows(teacher.embed_text(batch.captions)).T
        for teacher in teachers
    ]
    return torch.stack(scores).mean(dim=0)


def cut(batch: PairBatch, size: int, padding: str) -> tuple[Tensor, Tensor]:
    """The segments of all clips of a batch (N, size), and how many each clip has (B,)."""
    counts = rounded_segments(batch.lengths, size)
    return cut_segments(batch.audio, batch.lengths, counts, size, padding), counts


def build_clap(config: Config) -> WooshClap:
    """A new aligner: fresh heads, a fresh MobileNet or a published PaSST, and the text encoder named."""
    text_encoder = load_text_encoder(config.text_encoder, config.max_tokens)
    if config.audio_encoder == "mobilenet":
        audio_encoder = MobileNet(config.mobilenet_width)
        audio_width = audio_encoder.feature_width
    else:
        if config.audio_weights is None:
            raise ValueError(
                f"audio_encoder {config.audio_encoder} starts from published weights: name their "
                "file in audio_weights"
            )
        audio_encoder = load_passt(
            config.audio_weights,
            config.audio_encoder,
            patchout={
                "patchout_time": config.patchout_time,
                "patchout_frequency": config.patchout_frequency,
            },
        )
        audio_width = audio_encoder.config.width
    head = ClapHead(
        audio_width=audio_width,
        text_width=text_encoder.config.width,
        width=config.width,
        text_pooling=config.text_pooling,
        padding=config.padding,
        released_mean=False,
    )
    return WooshClap(audio_encoder, head, text_encoder, load_tokenizer(config.tokenizer), LogMel())


def pair_source(config: Config, sample_rate: int) -> PairBatches:
    """Batches of recorded and procedural clips."""
    clips = load_source(config.data, config.split, sample_rate)
    recorded = len(clips)
    clips += procedural_clips(config.procedural_clips, config.seed, sample_rate=sample_rate)
    share = config.procedural_share if config.procedural_clips else 0.0
    weights = np.full(len(clips), (1 - share) / recorded)
    weights[recorded:] = share / max(1, config.procedural_clips)
    augmentation = Augmentation(
        config.speed,
        config.colour_decibels,
        config.mixed_share,
        config.joined_share,
        config.response_share,
        config.polarity_share,
        config.word_dropout,
        config.punctuation_dropout,
    )
    samples = round(config.crop_seconds * sample_rate)
    responses = load_responses(Path(config.responses), sample_rate) if config.responses else ()
    return PairBatches(
        clips, weights, samples, config.batch_size, augmentation, config.seed, responses
    )


def inputs_of(
    batch: PairBatch, number: int, clap: WooshClap, config: Config, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What `training_step` takes of batch `number`: log_mel, counts, input_ids, mask, groups."""
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + number)
    audio, counts = cut(batch, SEGMENT_SECONDS * clap.sample_rate, config.padding)
    log_mel = clap.log_mel.augmented(
        audio.to(device), generator, config.frequency_mask, config.time_mask
    )
    captions = [normalise_text(caption) for caption in batch.captions]
    ids, mask = tokenize(clap.tokenizer, captions, config.max_tokens)
    return log_mel, counts, ids.to(device), mask.to(device), batch.groups.to(device)


def averaged(clap: WooshClap, average: nn.Module, source: PairBatches, config: Config) -> WooshClap:
    """An aligner with the moving average of the towers, ready to embed.

    Averaged weights have activations that no step of the training had, and training hears masked
    sounds: batch normalisation gets its statistics anew, from whole ones (arXiv 1803.05407, section 3.2).
    """
    towers = cast(Towers, average.module).eval()

    def log_mels() -> Iterator[Tensor]:
        for number in range(config.steps, config.steps + config.statistics_batches):
            audio, _ = cut(source.batch(number), SEGMENT_SECONDS * clap.sample_rate, config.padding)
            yield clap.log_mel(audio.to(towers.head.device))

    update_bn(log_mels(), towers.audio_encoder)
    return WooshClap(
        towers.audio_encoder, towers.head, towers.text_encoder, clap.tokenizer, clap.log_mel
    )


def save(accelerator: Accelerator, clap: WooshClap, output: Path) -> None:
    """Write the run's state, and the aligner."""
    save_checkpoint(accelerator, output / "checkpoint")
    if accelerator.is_main_process:
        save_clap(clap, output / "clap")


def evaluate(config: Config, clap: WooshClap) -> None:
    """Write evaluation.json: what the aligner knows of the held-out clips."""
    clips = load_source(config.data, config.validation_split, clap.sample_rate)
    result = evaluate_aligner(clap, clips)
    (Path(config.output) / "evaluation.json").write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


def main(config: Config) -> None:
    """Train, save and evaluate."""
    # 1. Accelerator
    accelerator = Accelerator(mixed_precision=config.precision)
    torch.manual_seed(config.seed + accelerator.process_index)
    output = Path(config.output)

    # 2. Model
    clap = build_clap(config)
    towers = Towers(clap, config.temperature, config.learned_temperature, config.train_text)
    average = moving_average(towers, config.ema_decay)
    teachers = [load_clap(name, accelerator.device) for name in config.teachers]

    # 3. Data
    source = pair_source(config, clap.sample_rate)

    # 4. Optimiser and schedule
    trained = [value for value in towers.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay
    )
    schedule = cosine_schedule(optimizer, config.warmup_steps, config.steps)

    # 5. Prepare and resume
    progress = Progress()
    objective, optimizer = accelerator.prepare(Objective(towers, training_step), optimizer)
    average.to(accelerator.device)
    accelerator.register_for_checkpointing(schedule, average, progress)
    if config.resume:
        resume_checkpoint(accelerator, output / "checkpoint")
    updates = Updates(
        accelerator,
        [optimizer],
        [schedule],
        trained,
        config.clip_norm,
        config.non_finite,
        output,
        progress,
    )
    processes, rank = accelerator.num_processes, accelerator.process_index
    remaining = NumberedBatches(
        source, progress.step * processes, (config.steps - progress.step) * processes
    )
    order = range(rank, len(remaining), processes)
    loader = DataLoader(remaining, batch_size=None, sampler=order, num_workers=config.workers)

    # 6. Loop
    log = Log(output, config, progress.step) if accelerator.is_main_process else None
    bar = tqdm(loader, initial=progress.step, total=config.steps, disable=log is None)
    total = dict.fromkeys(SCALARS, 0.0)
    objective.train()
    for number, batch in bar:
        inputs = inputs_of(batch, number, clap, config, accelerator.device)
        scores = estimated_scores(teachers, batch, accelerator.device) if teachers else None
        with accelerator.autocast():
            loss, logs = objective(*inputs, scores)
        updates.apply(loss, number)
        average.update_parameters(towers)
        progress.step += 1
        total = {name: total[name] + logs[name].item() for name in total}
        if log is not None and progress.step % config.log_every == 0:
            means = {name: value / config.log_every for name, value in total.items()}
            means |= {"gradient_norm": updates.gradient_norm, "skipped": updates.skipped}
            log.write(
                progress.step, means, config.log_every * config.batch_size * processes, "pairs"
            )
            bar.set_postfix(loss=round(means["loss"], 4))
            total = dict.fromkeys(SCALARS, 0.0)
        if progress.step % config.save_every == 0 or updates.stopping:
            save(accelerator, averaged(clap, average, source, config), output)
        if updates.stopping:
            return

    # 7. Save and evaluate
    final = averaged(clap, average, source, config)
    save(accelerator, final, output)
    if accelerator.is_main_process:
        evaluate(config, final)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="name=value")
    arguments = parser.parse_args()
    main(load_config(Config, arguments.config, arguments.overrides))
