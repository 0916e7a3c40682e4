"""What a run listens to: sounds that it makes of held-out captions, and how near they come to the recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from woosh.audio import resample
from woosh.autoencoder import load_autoencoder
from woosh.data.clips import Clip
from woosh.data.sources import load_source
from woosh.embeddings.clap import WooshClap, embed_sounds, embed_texts, load_clap
from woosh.generation.pipeline import WooshPipeline
from woosh.generation.transformer import WooshTransformer
from woosh.metrics.distributions import kernel_distance
from woosh.metrics.retrieval import clap_score
from woosh.training.conditioning import TextConditioner
from woosh.training.run import Run


@dataclass(frozen=True)
class ListenConfig:
    """What is needed to listen every `evaluate_every` steps; nulls where that is 0."""

    autoencoder: str | None  # folder
    aligner: str  # the judge, a built-in model or a folder
    held_out: str | None  # recordings whose captions are generated: manifest, shards or hf:NAME
    held_out_split: str
    held_out_clips: int
    held_out_seconds: float  # of a generated sound


class Listener:
    """Generates held-out captions with a transformer and logs the sounds and their distances.

    Args:
        config: what it takes.
        text: the text conditioner of the transformer.
        seed: of the noise; sound i gets seed + i.

    Raises:
        ValueError: a part that it takes is null.
    """

    def __init__(self, config: ListenConfig, text: TextConditioner | None, seed: int) -> None:
        if config.autoencoder is None or config.held_out is None or text is None:
            raise ValueError(
                "evaluate_every is set: name autoencoder, held_out, text_encoder and tokenizer too"
            )
        self.config, self.text, self.seed = config, text, seed
        self.autoencoder = load_autoencoder(config.autoencoder)
        self.autoencoder.to(text.encoder.device).eval()
        self.aligner = load_clap(config.aligner)
        clips = load_source(config.held_out, config.held_out_split, self.aligner.sample_rate)
        step = max(1, len(clips) // config.held_out_clips)
        self.clips = clips[::step][: config.held_out_clips]

    def listen(self, run: Run, transformer: WooshTransformer) -> None:
        """Write a row of the log, and the sounds to the trackers."""
        pipeline = WooshPipeline(
            self.autoencoder, transformer, self.text.encoder, self.text.tokenizer
        )
        pipeline.set_progress_bar_config(disable=True)
        sounds = self._generate(pipeline)
        if run.log is not None:
            run.log.write(
                run.step, compare(sounds, self.clips, self.aligner, pipeline.sample_rate, self.seed)
            )
            for clip, sound in zip(self.clips, sounds, strict=True):
                run.log.sound(run.step, clip.captions[0], sound, pipeline.sample_rate)

    def _generate(self, pipeline: WooshPipeline) -> list[np.ndarray]:
        return [
            pipeline(
                clip.captions[0],
                seconds=self.config.held_out_seconds,
                generator=torch.Generator().manual_seed(self.seed + number),
            ).audios[0, 0]
            for number, clip in enumerate(self.clips)
        ]


def listener_of(run: Run, config: ListenConfig, text: TextConditioner | None) -> Listener | None:
    """The listener of a run, in its main process and where `evaluate_every` is set; see `Listener`."""
    if run.config.evaluate_every and run.is_main:
        return Listener(config, text, run.config.seed)
    return None


def listen_if_due(run: Run[WooshTransformer], listener: Listener | None) -> None:
    """After a step at which it is time, let the run's listener hear the average. All processes must call it at once."""
    if run.due(run.config.evaluate_every):
        average = run.averaged()
        if listener is not None:
            listener.listen(run, average)


def compare(
    sounds: Sequence[np.ndarray],
    clips: Sequence[Clip],
    aligner: WooshClap,
    sample_rate: int,
    seed: int,
) -> dict[str, float]:
    """Distance of sounds (S,) from the clips whose first captions they were made of, in the aligner's space.

    The kernel distance (see `woosh.metrics.distributions`) has no bias with few clips, which the Frechet distance has.

    Args:
        sounds: generated, all of one length.
        clips: recordings at the aligner's rate, at least four; as much of them is taken.
        aligner: the judge.
        sample_rate: of the sounds, in Hz.
        seed: of the kernel distance's draws.
    """
    heard = [resample(sound[None], sample_rate, aligner.sample_rate)[0] for sound in sounds]
    made = embed_sounds(aligner, heard)
    recorded = embed_sounds(aligner, [clip.audio[: len(heard[0])] for clip in clips])
    texts = embed_texts(aligner, [clip.captions[0] for clip in clips])
    distance = kernel_distance(made, recorded, torch.Generator().manual_seed(seed))
    return {
        "kernel_distance": distance.value,
        "clap_score": clap_score(texts, made),
        "clap_score_of_recordings": clap_score(texts, recorded),
    }
