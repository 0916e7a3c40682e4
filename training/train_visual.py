"""Train the network that watches for the built-in video model, on scenes that are rendered as it goes.

    accelerate launch training/train_visual.py configs/visual_tiny.yaml [name=value ...]

Every clip is new; the held-out ones have seeds of their own. Output folder: log.jsonl, checkpoints/, visual/ (the
average, a `VisualEncoder`), evaluation.json.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from woosh.metrics.synchrony import alignment
from woosh.scenes import COURSE_FAMILIES, FAMILIES, FRAME_RATE, SceneClip, generate_scene
from woosh.training import Run, RunConfig, TrainingStep, adamw, cosine_schedule
from woosh.training.batches import to_device
from woosh.training.command import run_recipe
from woosh.training.visual import Record, watching_loss
from woosh.video.visual import VisualEncoder, event_times

HELD_OUT_SEED = 900_000_000


@dataclass(frozen=True)
class Sizes:
    """Of the network, see `VisualEncoder`."""

    size: int
    channels: int
    width: int


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/visual_tiny.yaml`."""

    run: RunConfig
    sizes: Sizes
    seconds: float  # of a clip
    batch_size: int  # per process
    workers: int  # processes that render
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    held_out_clips: int


@dataclass(frozen=True)
class SceneBatch:
    """What a training step sees.

    Attributes:
        frames: pictures of clips (B, F, 3, H, W), of 8 bits.
        record: what is true of them.
    """

    frames: Tensor
    record: Record


@dataclass(frozen=True)
class SceneBatches:
    """Batches of clips, each of which is in no other."""

    config: Config

    def batch(self, number: int) -> SceneBatch:
        """The batch of that number; its clips' seeds follow from the run's."""
        size = self.config.batch_size
        first = self.config.run.seed * 100_000_000 + number * size
        return make_batch([scene(seed, self.config) for seed in range(first, first + size)])


def scene(seed: int, config: Config) -> SceneClip:
    """The pictures of a clip and its record; the sound is not needed."""
    return generate_scene(seed, None, config.seconds, config.sizes.size, with_audio=False)


def make_batch(clips: list[SceneClip]) -> SceneBatch:
    """Clips of equal length as tensors."""
    frames = torch.from_numpy(np.stack([clip.frames for clip in clips])).permute(0, 1, 4, 2, 3)
    event, offset, intensity = (torch.zeros(frames.shape[:2]) for _ in range(3))
    for row, clip in enumerate(clips):
        if clip.intensity is not None:
            intensity[row] = torch.from_numpy(clip.intensity)
            continue
        for time in clip.events:
            place = int(time * FRAME_RATE)
            event[row, place], offset[row, place] = 1, time * FRAME_RATE - place
    goes_on = torch.tensor([clip.family in COURSE_FAMILIES for clip in clips])
    family = torch.tensor([FAMILIES.index(clip.family) for clip in clips])
    return SceneBatch(frames, Record(event, offset, intensity, goes_on, family))


def training_step(model: VisualEncoder, batch: SceneBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch, and its parts."""
    return watching_loss(model(batch.frames), batch.record)


@torch.inference_mode()
def evaluate(model: VisualEncoder, config: Config) -> dict[str, float]:
    """How well events are found within 50 ms, and intensity and family told, on clips that were never seen."""
    found, correlations, right = [], [], 0
    for number in range(config.held_out_clips):
        clip = scene(HELD_OUT_SEED + number, config)
        batch = make_batch([clip])
        seen = model(batch.frames)
        right += int(seen.family[0].argmax() == batch.record.family[0])
        if clip.intensity is None:
            found.append((clip.events, event_times(seen, 0)))
        else:
            pair = np.stack([seen.intensity[0].numpy(), clip.intensity])
            correlations.append(float(np.corrcoef(pair)[0, 1]))
    scores = {f"event_f1_{score.tolerance:g}": score.f1 for score in alignment(found)}
    return {
        **scores,
        "intensity_correlation": float(np.mean(correlations)),
        "family_accuracy": right / config.held_out_clips,
    }


def main(config: Config) -> None:
    """Train, save and evaluate."""
    run: Run[VisualEncoder] = Run(config.run, config)
    source = SceneBatches(config)
    model = VisualEncoder(**dataclasses.asdict(config.sizes), families=len(FAMILIES))
    run.follow(model)
    optimizer = adamw(model.parameters(), config.learning_rate, config.weight_decay, (0.9, 0.98))
    schedule = cosine_schedule(optimizer, config.warmup_steps, config.run.steps)
    train_step, updates = run.updates(TrainingStep(model, training_step), [optimizer], [schedule])
    run.start()
    for number, batch in run.batches(source, config.workers):
        with run.gathering(train_step):
            with run.accelerator.autocast():
                loss, scalars = train_step(to_device(batch, run.device))
            updates.apply(loss, number)
            run.advance(scalars, len(batch.frames), "clips")
        run.save_if_due("visual", VisualEncoder.save_pretrained)
    run.export_average("visual", VisualEncoder.save_pretrained)
    if run.is_main:
        scores = evaluate(run.averaged().cpu().eval(), config)
        (run.output / "evaluation.json").write_text(json.dumps(scores, indent=1))


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
