"""Embeddings through the HEAR 2021 interface (hearbenchmark.com), as PaSST makes them (arXiv 2211.13956), by any ear here.

    model = load_model("passt-s-f128-p16-s10-ap.476-swa.pt")
    embeddings, timestamps = get_timestamp_embeddings(audio, model)

A recipe names what an embedding is put together from. Its first part is what an ear makes (of most networks logits and
features) of a window of 160 ms around a time stamp, or of the whole clip for a scene. Further parts
are those of a longer window, and the bare log-mel of a very short one; a scene takes their means
over its time stamps. Scene and time-stamp embeddings of one recipe therefore have the same size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from woosh.catalogue import is_aligner, is_tagger
from woosh.embeddings.clap import load_clap
from woosh.embeddings.ears import (
    Ear,
    aligner_ear,
    mid_level_ear,
    passt_ear,
    saved_ear,
    tagger_ear,
)
from woosh.embeddings.embedders import MID_TAGGER, TAGGER, tagger_weights_of
from woosh.taggers.log_mel import LogMel
from woosh.taggers.passt_weights import VARIANTS, load_passt
from woosh.taggers.published import load_published
from woosh.taggers.tagger import load_tagger

WINDOW = 160  # ms around a time stamp: 16 frames of 10 ms, the least that a patch takes; more where an ear needs it
MEL_FRAMES = 6  # of the bare log-mel
TIMESTAMP_HOP = 50.0  # ms
BATCH_SECONDS = 40  # of audio that go through the network at once


class Recipe(NamedTuple):
    """What an embedding is put together from, and by which network."""

    variant: str  # key of `woosh.taggers.passt_weights.VARIANTS`; other networks' front ends need its hop
    second_window: int | None = None  # ms
    mel: bool = False  # whether the bare log-mel comes last
    scene_window: int = 10_000  # ms of a scene that go through the network in one pass
    scene_hop: int = 2_500  # ms between the windows of a longer scene


RECIPES = {
    "base": Recipe("s10"),
    "two-levels": Recipe("s10", second_window=800),
    "two-levels-mel": Recipe("s10", second_window=640, mel=True),
    "hop160": Recipe("hop160"),
    "hop160-two-levels": Recipe("hop160", second_window=800),
    "hop160-two-levels-mel": Recipe("hop160", second_window=800, mel=True),
    "hop100": Recipe("hop100"),
    "hop100-two-levels": Recipe("hop100", second_window=800),
    "hop100-two-levels-mel": Recipe("hop100", second_window=800, mel=True),
    "20sec": Recipe("20sec", scene_window=20_000),
    "30sec": Recipe("30sec", scene_window=30_000, scene_hop=10_000),
}


class Part(NamedTuple):
    """One part of an embedding: what is computed from a window of that many samples."""

    embed: Callable[[Tensor], Tensor]  # (N, window) -> (N, size)
    window: int
    size: int


class HearModel(nn.Module):
    """An ear with its recipe, as `load_model` returns it.

    Attributes `sample_rate` (Hz), `scene_embedding_size` and `timestamp_embedding_size` are those
    that the interface asks for.

    Args:
        ear: of the recipe's hop; a PaSST of its variant.
        recipe: key of `RECIPES`.
        timestamp_hop: ms from one time stamp to the next.

    Raises:
        ValueError: an unknown recipe, an ear that does not fit it, or a hop that is not positive.
    """

    def __init__(
        self, ear: Ear, recipe: str = "base", timestamp_hop: float = TIMESTAMP_HOP
    ) -> None:
        super().__init__()
        self.recipe = find_recipe(recipe)
        check_ear(ear, recipe, self.recipe)
        if not (math.isfinite(timestamp_hop) and timestamp_hop > 0):
            raise ValueError(f"timestamp_hop is {timestamp_hop} ms; it must be above 0")
        self.ear, self.network, self.timestamp_hop = ear, ear.network, timestamp_hop
        self.sample_rate = ear.log_mel.sample_rate
        self.parts = self.make_parts()
        size = sum(part.size for part in self.parts)
        self.scene_embedding_size = self.timestamp_embedding_size = size

    def make_parts(self) -> tuple[Part, ...]:
        """The parts of a time stamp's embedding in their order."""
        ear, log_mel = self.ear, self.ear.log_mel
        shortest = max(self.samples(WINDOW), ear.least_frames * log_mel.hop_length)
        parts = [Part(ear.embed, shortest, ear.size)]
        if self.recipe.second_window is not None:
            parts.append(Part(ear.embed, self.samples(self.recipe.second_window), ear.size))
        if self.recipe.mel:
            window = MEL_FRAMES * log_mel.hop_length
            parts.append(Part(self.embed_mel, window, log_mel.bands * MEL_FRAMES))
        return tuple(parts)

    def samples(self, milliseconds: float) -> int:
        """A duration in samples."""
        return round(milliseconds * self.sample_rate / 1000)

    def embed_mel(self, audio: Tensor) -> Tensor:
        """Audio (N, S) -> its log-mel, band after band (N, bands T)."""
        return self.ear.log_mel(audio).flatten(1)

    @torch.no_grad()
    def scene_embeddings(self, audio: Tensor) -> Tensor:
        """One embedding for each clip (n, S): (n, scene_embedding_size)."""
        check_audio(audio)
        samples = audio.shape[1]
        window, shortest = self.samples(self.recipe.scene_window), self.parts[0].window
        if samples > window:
            centres = torch.arange(0, samples + 1, self.samples(self.recipe.scene_hop))
        else:
            # One window over the clip; a clip shorter than any window is reflected to fill one.
            window, centres = max(samples, shortest), torch.tensor([samples // 2])
        means = [self.mean(audio, self.parts[0]._replace(window=window), centres)]
        stamps, _ = self.stamps(samples)
        means += [self.mean(audio, part, stamps) for part in self.parts[1:]]
        return torch.cat(means, dim=1)

    @torch.no_grad()
    def timestamp_embeddings(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (n, t, timestamp_embedding_size) of clips (n, S), and their times (n, t) in ms."""
        check_audio(audio)
        centres, times = self.stamps(audio.shape[1])
        parts = [
            torch.cat([rows for _, rows in self.embedded(audio, part, centres)])
            for part in self.parts
        ]
        embeddings = torch.cat(parts, dim=1).unflatten(0, (len(audio), len(centres)))
        return embeddings, times.to(audio.device).expand(len(audio), -1)

    def stamps(self, samples: int) -> tuple[Tensor, Tensor]:
        """The time stamps of a clip: their samples (t,) and their times (t,) in ms, float32."""
        hop = self.timestamp_hop * self.sample_rate / 1000
        index = torch.arange(1 + math.floor(samples / hop + 1e-9), dtype=torch.float64)
        return (index * hop).round().long(), (index * self.timestamp_hop).float()

    def mean(self, audio: Tensor, part: Part, centres: Tensor) -> Tensor:
        """Mean of a part over windows at the same places of every clip: (n, S) -> (n, size)."""
        total = audio.new_zeros(len(audio), part.size, dtype=torch.float32)
        for clips, rows in self.embedded(audio, part, centres):
            total.index_add_(0, clips, rows)
        return total / len(centres)

    def embedded(
        self, audio: Tensor, part: Part, centres: Tensor
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """A part of all windows of all clips, clip after clip, a bounded number at a time.

        Args:
            audio: (n, S).
            part: what to compute.
            centres: samples (w,) in whose middle windows lie; a clip goes on reflected at both ends.

        Yields:
            For some of the n w windows the clip of each (m,) and the result (m, size).
        """
        heard = max(part.window, self.samples(1000 * self.ear.heard_seconds))
        count = max(1, BATCH_SECONDS * self.sample_rate // heard)
        device = next(self.network.parameters()).device
        offsets = torch.arange(part.window) - part.window // 2
        for windows in torch.arange(len(audio) * len(centres)).split(count):
            clips = windows // len(centres)
            places = centres[windows % len(centres)][:, None] + offsets  # (m, window)
            cut = audio[clips[:, None], reflect(places, audio.shape[1])]
            rows = part.embed(cut.to(device))
            yield clips.to(audio.device), rows.to(audio.device)


def check_ear(ear: Ear, name: str, recipe: Recipe) -> None:
    """Refuse an ear of another spectrogram, or one that would cut a recipe's windows short.

    Recipes that are made for a hop take no other.
    """
    hop = VARIANTS[recipe.variant].sizes.get("hop_length")
    if hop is not None and ear.log_mel.hop_length != hop:
        raise ValueError(
            f"recipe {name} takes frames of {hop} samples, the network was trained with "
            f"{ear.log_mel.hop_length}: load variant {recipe.variant}"
        )
    frames = ear.log_mel.frames(recipe.scene_window * ear.log_mel.sample_rate // 1000)
    if ear.most_frames is not None and frames > ear.most_frames:
        raise ValueError(
            f"recipe {name} takes windows of {frames} frames, the network has positions for "
            f"{ear.most_frames}: load variant {recipe.variant}"
        )


def reflect(places: Tensor, samples: int) -> Tensor:
    """Where samples outside of a clip are found in it, reflected at its ends as often as it takes."""
    if samples == 1:
        return torch.zeros_like(places)
    places = places.remainder(2 * (samples - 1))
    return torch.minimum(places, 2 * (samples - 1) - places)


def check_audio(audio: Tensor) -> None:
    """Refuse audio that is not (clips, samples) of floating numbers, with a sample or more."""
    if audio.ndim != 2 or 0 in audio.shape or not audio.is_floating_point():
        raise ValueError(
            f"audio must be (clips, samples) of floating numbers, got {tuple(audio.shape)} of "
            f"{audio.dtype}"
        )


def find_recipe(name: str) -> Recipe:
    """A recipe by its name."""
    if name not in RECIPES:
        raise ValueError(f"recipe is {name!r}; it must be one of {', '.join(RECIPES)}")
    return RECIPES[name]


def load_model(
    model_file_path: str | Path = "",
    recipe: str = "base",
    timestamp_hop: float = TIMESTAMP_HOP,
) -> HearModel:
    """Load weights for a recipe.

    Args:
        model_file_path: the name of a built-in tagger or aligner, a folder of one, `tagger:FILE` of published weights,
            `tagger-mid:NAME|FOLDER|FILE` for the features of a MobileNet's middle; or weights of the recipe's variant of
            PaSST, whatever `woosh.taggers.passt_weights.load_passt` takes.
        recipe: key of `RECIPES`.
        timestamp_hop: ms from one time stamp to the next.

    Returns:
        The model on the CPU, in evaluation mode; move it with `.to(device)`.

    Raises:
        FileNotFoundError: no such file; the message tells where there are published weights.
        ValueError: an unknown recipe, or weights that do not fit it.
    """
    ear = load_ear(str(model_file_path), find_recipe(recipe).variant)
    return HearModel(ear, recipe, timestamp_hop).eval()


def load_ear(name: str, variant: str) -> Ear:
    """An ear by its name, see `load_model`; a file without a prefix holds that variant of PaSST."""
    if name and is_aligner(name):
        return aligner_ear(load_clap(name))
    if name and (name.startswith((TAGGER, MID_TAGGER)) or is_tagger(name)):
        path, middle = tagger_weights_of(name), name.startswith(MID_TAGGER)
        if path.is_file():  # whose labels do not matter
            make: Any = mid_level_ear if middle else tagger_ear
            return make(load_published(path).eval(), LogMel())
        tagger = load_tagger(path)
        network: Any = tagger.network
        return mid_level_ear(network, tagger.log_mel) if middle else saved_ear(tagger)
    folder = bool(name) and Path(name).is_dir()
    return passt_ear(load_passt(name, None if folder else variant))


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """One embedding for each clip.

    A clip up to the recipe's scene window (10 s) goes through the network in one pass; of a longer
    one the windows' embeddings are averaged, every 2.5 s from the clip's begin to its end, the clip
    going on reflected before and after.

    Args:
        audio: (n, S), mono at `model.sample_rate`, in [-1, 1], on any device.
        model: of `load_model`.

    Returns:
        (n, model.scene_embedding_size), float32, on the audio's device.

    Raises:
        ValueError: audio that is not (n, S).
    """
    return model.scene_embeddings(audio)


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """An embedding for each time stamp, from the clip's begin to its end.

    Args:
        audio: (n, S), mono at `model.sample_rate`, in [-1, 1], on any device.
        model: of `load_model`.

    Returns:
        Embeddings (n, t, model.timestamp_embedding_size) and the times of their windows' middles in
        ms (n, t), both float32, on the audio's device.

    Raises:
        ValueError: audio that is not (n, S).
    """
    return model.timestamp_embeddings(audio)
