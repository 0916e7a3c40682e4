"""Latents that the built-in ears hear as what their captions say: of recordings, and of a flow's own sounds.

    accelerate launch training/select_latents.py configs/select_mel.yaml [name=value ...]

Of the clips with one of `recorded_labels` those are kept that are heard through the autoencoder. Then a flow makes several
sounds of each of many captions, and the best of each is kept if it is heard. What is kept is labelled "heard LABEL", LABEL
being the clip's own or "other", so that a training may favour it: name the folder in `further_latents` of
training/train_flow.py. The ears that choose must not be those that judge. Processes share the shards; a run that was
ended goes on where it was. Output folder: latents-NNNNNN.tar, common.safetensors, common.json, config.yaml, log.jsonl with
how many were kept.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from woosh.embeddings.prompt_check import load_prompt_ear
from woosh.generation.changes import load_transformer
from woosh.generation.solvers import multistep, shifted_times
from woosh.generation.transformer import WooshTransformer
from woosh.training import Log
from woosh.training.command import run_recipe
from woosh.training.conditioning import TextConditioner
from woosh.training.config import check_choice
from woosh.training.flow.crops import LatentBatches
from woosh.training.flow.distillation import teacher_velocity
from woosh.training.flow.latents import (
    DTYPES,
    LatentClip,
    load_latents,
    read_common,
    write_common,
    write_own_shards,
)
from woosh.training.flow.rewards import EarsConfig, Heard, LatentListener, load_listener
from woosh.training.flow.selection import Wishes, best_of, is_heard
from woosh.training.flow.steps import FlowData, Prompts, empty_prompt, latent_batches, load_text
from woosh.training.outputs import check_output
from woosh.training.randomness import batch_generator

SHORTEST = 10  # latent frames of a recording that the ears can tell


@dataclass(frozen=True)
class SamplingConfig:
    """How the flow makes its sounds."""

    sampling_steps: int
    guidance: float
    time_shift: float


@dataclass(frozen=True)
class Config:
    """Settings of one selection; see `configs/select_mel.yaml`."""

    output: str
    data: FlowData  # whose draws say which captions sounds are made of
    initial: str  # folder of the transformer that makes sounds
    sampling: SamplingConfig
    ears: EarsConfig
    recorded_labels: tuple[str, ...]  # of the recordings that are chosen from
    batches: int  # of sounds
    sounds_per_prompt: int
    heard_among: int  # of the tagger's labels, the most probable first
    precision: str  # "no" or "bf16", of the flow
    storage: str  # "float16" or "float32"
    seed: int


@dataclass(frozen=True)
class Selector:
    """Makes sounds, hears them and keeps the best.

    Attributes:
        config: of the recipe.
        source: of the clips.
        flow: that makes sounds.
        text: of the captions.
        empty: the empty text.
        listener: of latents.
        wishes: of captions.
    """

    config: Config
    source: LatentBatches
    flow: WooshTransformer
    text: TextConditioner
    empty: Prompts
    listener: LatentListener
    wishes: Wishes

    def recordings(self, label: str) -> Iterator[LatentClip]:
        """The clips of a label that are heard as their first caption says."""
        for clip in self.source.clips:
            places = self.wishes.places(clip.captions[0])
            if clip.label != label or not places or clip.latents.shape[1] < SHORTEST:
                continue
            heard = self.listener(clip.latents[None].float().to(self.flow.device))
            if is_heard(heard.probabilities[0], places, self.config.heard_among):
                yield labelled(clip)

    @torch.no_grad()
    def sounds(self, number: int) -> Iterator[LatentClip]:
        """The best sound of each caption of batch `number` that is heard."""
        clips, frames, generator = self.source.drawn(number)
        batch = self.source.crops.collate(clips, frames, generator)
        asking = [place for place, text in enumerate(batch.captions) if self.wishes.places(text)]
        count = self.config.sounds_per_prompt
        chosen = asking[: max(1, len(clips) // count)]
        if not chosen:
            return
        captions = [batch.captions[place] for place in chosen]
        told = batch.sound_seconds[chosen].to(self.flow.device)
        prompts = Prompts(*self.text(captions), None, told)
        latents = self.make(prompts, (batch.latents.shape[1], frames), number)
        heard = self.listener(latents)
        asked = self.listener.head.embed_states(prompts.states, prompts.mask).float()  # (P, D)
        for row, place in enumerate(chosen):
            of_prompt = slice(row * count, (row + 1) * count)
            own = Heard(heard.probabilities[of_prompt], heard.embeddings[of_prompt])
            places = self.wishes.places(captions[row])
            best = best_of(own, asked[row], places)
            if is_heard(own.probabilities[best], places, self.config.heard_among):
                clip = labelled(clips[place])
                sound = latents[row * count + best].cpu()
                yield dataclasses.replace(clip, latents=sound, captions=(captions[row],), states=())

    def make(self, prompts: Prompts, shape: tuple[int, int], number: int) -> Tensor:
        """Latents (P K, C, T) of P prompts, those of a prompt one after the other, for a shape (C, T)."""
        sampling, device = self.config.sampling, self.flow.device
        rows = torch.arange(len(prompts.states)).repeat_interleave(self.config.sounds_per_prompt)
        rows, count = rows.to(device), len(rows)
        generator = batch_generator(self.config.seed, number, "sounds")
        noise = torch.randn((count, *shape), generator=generator).to(device)
        told = None if prompts.sound_seconds is None else prompts.sound_seconds[rows]
        wanted = Prompts(prompts.states[rows], prompts.mask[rows], None, told)
        states, mask = (
            part.expand(count, *part.shape[1:]) for part in (self.empty.states, self.empty.mask)
        )
        empty = Prompts(states, mask, None, told).prepared_by(self.flow)
        guidance = torch.full((count,), sampling.guidance, device=device)
        velocity = teacher_velocity(
            self.flow, wanted.prepared_by(self.flow), empty, guidance, guidance_start=1.0
        )
        times = shifted_times(sampling.sampling_steps, sampling.time_shift).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            return multistep(velocity, noise, times).float()


def labelled(clip: LatentClip) -> LatentClip:
    """A clip under the label of what is heard."""
    return dataclasses.replace(clip, label=f"heard {clip.label or 'other'}")


def load_selector(config: Config, device: torch.device) -> Selector:
    """What the configuration names.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: no text encoder, or streamed latents.
    """
    text = load_text(config.data, device)
    if text is None:
        raise ValueError("name text_encoder and tokenizer: captions are read by them")
    source = latent_batches(config.data, config.seed)
    if not isinstance(source, LatentBatches):
        raise ValueError("streamed must be false: captions are drawn from all clips")
    flow = load_transformer(config.initial, torch.float32).to(device).eval()
    listener = load_listener(config.ears).to(device)
    empty = empty_prompt(source.crops.common, text, device)
    wishes = Wishes(load_prompt_ear(), listener.tagger.labels)
    return Selector(config, source, flow, text, empty, listener, wishes)


def main(config: Config) -> None:
    """Choose this process's shards, then write what belongs to all."""
    check_choice("storage", config.storage, tuple(DTYPES))
    check_choice("precision", config.precision, ("no", "bf16"))
    accelerator = Accelerator()
    output = Path(config.output)
    check_output(output, config)
    selector = load_selector(config, accelerator.device)
    log = Log(output, config) if accelerator.is_main_process else None
    parts: list[Callable[[], Iterator[LatentClip]]] = [
        partial(selector.recordings, label) for label in config.recorded_labels
    ]
    parts += [partial(selector.sounds, number) for number in range(config.batches)]
    write_own_shards(accelerator, output, parts, DTYPES[config.storage])
    if log is not None:
        write_common(output, read_common(Path(config.data.latents)))
        log.write(len(parts), {"kept": len(load_latents(output).clips)}, len(parts), "shards")


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
