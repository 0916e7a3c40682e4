"""Tune a flow by rewards of its own sounds: it makes several of each prompt, and learns from how well they are heard.

    accelerate launch training/tune_flow.py configs/tune_mel.yaml [name=value ...]

Prompts are captions of recordings that a tagger hears clearly, in the latents of training/encode_latents.py. A round makes
sounds of them with the moving average of the flow, lets the tagger and an aligner hear them, and ends after
`steps_per_round` steps of DiffusionNFT on them; the recordings themselves are learned beside them. A run that is
stopped within a round begins a new one when it is resumed. Output folder: transformer/ (the moving average), log.jsonl,
config.yaml, checkpoints/.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from woosh.generation.changes import load_transformer
from woosh.generation.flow import flow_loss, interpolate, target_velocity
from woosh.generation.solvers import euler, shifted_times
from woosh.generation.transformer import WooshTransformer
from woosh.training import Run, RunConfig, TrainingStep, prepare_blocks
from woosh.training.batches import to_device
from woosh.training.command import run_recipe
from woosh.training.conditioning import TextConditioner
from woosh.training.flow.crops import LatentBatch, LatentBatches
from woosh.training.flow.distillation import teacher_velocity
from woosh.training.flow.latents import read_common
from woosh.training.flow.rewards import (
    EarsConfig,
    LatentListener,
    advantages,
    likeness,
    load_listener,
)
from woosh.training.flow.steps import (
    FlowBatch,
    FlowData,
    OptimizerConfig,
    Prompts,
    TimeDistribution,
    draw_noise,
    empty_prompt,
    flow_updates,
    latent_batches,
    load_text,
    prompts_of,
)
from woosh.training.flow.tuning import optimality, tuning_loss
from woosh.training.randomness import batch_generator

USUAL_BATCHES = 8  # of recordings, whose mean probabilities are what is usually heard


@dataclass(frozen=True)
class RewardConfig:
    """What is heard in a sound, and what counts of it."""

    ears: EarsConfig
    likeness_share: float  # of the recording's labels in the sound
    words_share: float  # of the aligner's cosine with the caption
    optimal_base: float  # see `woosh.training.flow.tuning.optimality`
    optimal_slope: float
    reach: float  # see `woosh.training.flow.tuning.tuning_loss`
    recordings_weight: float  # of the flow's own loss on the recordings


@dataclass(frozen=True)
class RoundConfig:
    """How a round makes its sounds."""

    prompts_per_round: int
    candidates: (
        int  # recordings for each prompt that is taken; the one that is heard most clearly is
    )
    sounds_per_prompt: int
    steps_per_round: int
    sampling_steps: int
    guidance: float
    time_shift: float


@dataclass(frozen=True)
class Config:
    """Settings of one tuning; see `configs/tune_mel.yaml`."""

    run: RunConfig
    data: FlowData
    initial: str  # folder of a transformer
    rounds: RoundConfig
    rewards: RewardConfig
    times: TimeDistribution
    optimising: OptimizerConfig
    compile: bool  # each block, anew for every length of crops: slow to start, then faster


@dataclass(frozen=True)
class Sounds:
    """The sounds of a round, those of a prompt one after the other.

    Attributes:
        latents: of the sounds (P K, C, T).
        prompts: of the sounds.
        optimal: chance of each to be an optimal one (P K,).
        recordings: latents of the recordings of the P prompts, K times each (P K, C, T).
        facts: means for the log.
    """

    latents: Tensor
    prompts: Prompts
    optimal: Tensor
    recordings: Tensor
    facts: dict[str, Tensor]


@dataclass(frozen=True)
class TuningBatch:
    """What a training step sees: sounds of the present flow with noise and times, and their recordings alike."""

    sounds: FlowBatch
    recordings: FlowBatch
    optimal: Tensor
    present: Tensor


def rows(prompts: Prompts, chosen: Tensor) -> Prompts:
    """Some rows of prompts without pictures, by their numbers."""
    seconds = None if prompts.sound_seconds is None else prompts.sound_seconds[chosen]
    return Prompts(prompts.states[chosen], prompts.mask[chosen], None, seconds)


def training_step(
    model: WooshTransformer, batch: TuningBatch, reach: float, recordings_weight: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch, and its parts; see `TuningBatch`."""
    sounds, recordings = batch.sounds, batch.recordings
    condition = sounds.prompts.prepared_by(model)
    velocity = model(noisy_of(sounds), sounds.time, condition)
    target = target_velocity(sounds.latents, sounds.noise)
    tuning = tuning_loss(velocity, batch.present, target, batch.optimal, reach)
    known = model(noisy_of(recordings), recordings.time, condition)
    recorded = flow_loss(known, target_velocity(recordings.latents, recordings.noise))
    change = (velocity.detach() - batch.present).square().mean()
    return tuning + recordings_weight * recorded, {
        "tuning_loss": tuning.detach(),
        "recorded_error": recorded.detach(),
        "change": change,
    }


def noisy_of(batch: FlowBatch) -> Tensor:
    """x_t of a batch."""
    return interpolate(batch.latents, batch.noise, batch.time)


class Rounds:
    """Makes the sounds of a round and lets them be heard.

    Args:
        config: of the recipe.
        text: the text conditioner.
        listener: of latents.
        usual: mean probabilities of recordings (L,).
        empty: the empty text.
    """

    def __init__(
        self,
        config: Config,
        text: TextConditioner,
        listener: LatentListener,
        usual: Tensor,
        empty: Prompts,
    ) -> None:
        self.config, self.text, self.listener = config, text, listener
        self.usual, self.empty, self.device = usual, empty, usual.device

    def choose(self, batch: LatentBatch) -> tuple[Tensor, Tensor]:
        """Places of the recordings of a batch that are heard most clearly (P,), and their probabilities (P, L)."""
        config = self.config.rounds
        count = min(len(batch.latents), config.prompts_per_round * config.candidates)
        probabilities = self.listener(batch.latents[:count].to(self.device)).probabilities
        _, clear = likeness(probabilities[:, None], probabilities, self.usual)
        groups = clear[: count // config.candidates * config.candidates].view(-1, config.candidates)
        best = groups.argmax(dim=1).cpu() + torch.arange(len(groups)) * config.candidates
        return best, probabilities[best.to(self.device)]

    @torch.no_grad()
    def sounds(self, flow: WooshTransformer, batch: LatentBatch, number: int) -> Sounds:
        """The sounds that a flow makes of captions of batch `number`, with what they are worth."""
        config, rewards = self.config.rounds, self.config.rewards
        best, recorded = self.choose(batch)
        prompts = to_device(rows(prompts_of(batch, self.text, number), best), self.device)
        places = torch.arange(len(best)).repeat_interleave(config.sounds_per_prompt)
        wanted = rows(prompts, places.to(self.device))
        latents = self._generate(flow, wanted, batch.latents.shape[1:], number)
        heard = self.listener(latents)
        shape = (len(best), config.sounds_per_prompt)
        alike, _ = likeness(heard.probabilities.view(*shape, -1), recorded, self.usual)
        asked = self.listener.head.embed_states(prompts.states, prompts.mask)  # (P, D)
        words = torch.einsum("pkd,pd->pk", heard.embeddings.view(*shape, -1), asked.float())
        gain = advantages([alike, words], [rewards.likeness_share, rewards.words_share])
        optimal = optimality(gain, rewards.optimal_base, rewards.optimal_slope)
        return Sounds(
            latents,
            wanted,
            optimal.flatten(),
            batch.latents[best][places].to(self.device),
            {
                "likeness": alike.mean(),
                "words": words.mean(),
                "best_likeness": alike.amax(1).mean(),
            },
        )

    def _generate(
        self, flow: WooshTransformer, prompts: Prompts, shape: torch.Size, number: int
    ) -> Tensor:
        """Latents (P K, C, T) of prompts, for a shape (C, T)."""
        config, count = self.config.rounds, len(prompts.states)
        generator = batch_generator(self.config.run.seed, number, "sounds")
        noise = torch.randn((count, *shape), generator=generator).to(self.device)
        times = shifted_times(config.sampling_steps, config.time_shift).to(self.device)
        condition = prompts.prepared_by(flow)
        if config.guidance == 1:
            return euler(lambda noisy, time: flow(noisy, time, condition), noise, times)
        states, mask = (
            part.expand(count, *part.shape[1:]) for part in (self.empty.states, self.empty.mask)
        )
        empty = Prompts(states, mask, None, prompts.sound_seconds).prepared_by(flow)
        guidance = torch.full((count,), config.guidance, device=self.device)
        return euler(teacher_velocity(flow, condition, empty, guidance, 1.0), noise, times)


def batch_of(config: Config, sounds: Sounds, present: WooshTransformer, number: int) -> TuningBatch:
    """The sounds of step `number` of a round, every `steps_per_round`-th, with noise, times and what the flow says."""
    step = number % config.rounds.steps_per_round
    chosen = torch.arange(step, len(sounds.latents), config.rounds.steps_per_round)
    chosen = chosen.to(sounds.latents.device)
    latents, prompts = sounds.latents[chosen], rows(sounds.prompts, chosen)
    noise, time = draw_noise(latents, config.times, config.run.seed, number)
    made = FlowBatch(latents, prompts, noise, time)
    recorded = FlowBatch(sounds.recordings[chosen], prompts, noise, time)
    with torch.no_grad():
        velocity = present(noisy_of(made), time, prompts.prepared_by(present))
    return TuningBatch(made, recorded, sounds.optimal[chosen], velocity)


def prepare_rounds(config: Config, device: torch.device) -> tuple[LatentBatches, Rounds]:
    """The recordings in batches, and what makes rounds of them.

    Raises:
        ValueError: no text encoder, or streamed latents.
    """
    text = load_text(config.data, device)
    if text is None:
        raise ValueError("name text_encoder and tokenizer: the rewards' words need them")
    source = latent_batches(config.data, config.run.seed)
    if not isinstance(source, LatentBatches):
        raise ValueError("streamed must be false: a round begins with any batch")
    listener = load_listener(config.rewards.ears).to(device)
    samples = [source.batch(number).latents.to(device) for number in range(USUAL_BATCHES)]
    usual = torch.cat([listener(latents).probabilities for latents in samples]).mean(dim=0)
    empty = empty_prompt(read_common(Path(config.data.latents)), text, device)
    return source, Rounds(config, text, listener, usual, empty)


def main(config: Config) -> None:
    """Tune and save."""
    # 1. Run
    run: Run[WooshTransformer] = Run(config.run, config)
    if config.run.accumulation != 1 or config.run.save_every % config.rounds.steps_per_round:
        raise ValueError(
            "accumulation must be 1, and save_every a multiple of steps_per_round "
            f"({config.rounds.steps_per_round}): a round is whole or begun anew"
        )

    # 2. Model
    model = load_transformer(config.initial, torch.float32).train()
    model.log_variance_head.requires_grad_(False)
    run.follow(model)
    present = run.average.copy
    for network in (model, present):
        prepare_blocks(
            (*network.joint, *network.fused), checkpointed=False, compiled=config.compile
        )

    # 3. Data
    source, rounds = prepare_rounds(config, run.device)

    # 4. Training step and optimisers
    weights = {"reach": config.rewards.reach, "recordings_weight": config.rewards.recordings_weight}
    step = TrainingStep(model, partial(training_step, **weights))
    train_step, updates = flow_updates(run, step, config.optimising)
    run.start()

    # 5. Loop
    sounds = None
    for number, recordings in run.batches(source, config.data.workers):
        with run.gathering(train_step):
            with run.accelerator.autocast():
                if sounds is None or number % config.rounds.steps_per_round == 0:
                    sounds = rounds.sounds(run.averaged(), recordings, number)
                batch = batch_of(config, sounds, present, number)
                loss, scalars = train_step(batch)
            updates.apply(loss, number)
            run.advance(scalars | sounds.facts, len(batch.optimal), "sounds")
        run.save_if_due("transformer", WooshTransformer.save_pretrained)
    run.export_average("transformer", WooshTransformer.save_pretrained)


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
