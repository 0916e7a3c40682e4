"""What a LoRA learns and what the model forgets by it, on sounds of a kind that no model knows.

    python benchmarks/evaluate_lora.py [name=value ...] --work FOLDER [--model NAME|DIR] [--takes N] [--scales S ...]

Twelve sounds made by rule, "zorbo beams", teach `--model` through training/finetune_lora.py and configs/own_lora.yaml, under the
trigger "zorbo"; what stands before the options changes that configuration. Then every share of the LoRA makes takes of 2 s of two prompts from the same
noise. Printed are mean cosines in the space of `woosh-tiny-clap`: of generated beams to the collection's, and of barking dogs to
those of the model without the LoRA; and, to compare, those of the collection's sounds and of the first dogs among each other.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from woosh.audio import resample
from woosh.catalogue import DEFAULT_ALIGNER, DEFAULT_MODEL, describe_model, find_model
from woosh.embeddings.clap import WooshClap, embed_sounds, load_clap
from woosh.generation.loading import load_model
from woosh.generation.lora import merge_lora
from woosh.generation.request import Request

SAMPLE_RATE = 48_000
BEAMS = 12
TRIGGER = "zorbo"
BEAM, DOG = f"{TRIGGER} beam", "a dog barking"
SECONDS = 2.0


def beam(number: int) -> np.ndarray:
    """A falling tone of .9 to 1.6 s that jumps between two pitches a fifth apart, with overtones that come and go (S,)."""
    generator = np.random.default_rng(number)
    seconds, start = generator.uniform(0.9, 1.6), generator.uniform(500, 800)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    falling = start * 2 ** (-1.5 * time / seconds)
    jumps = np.where(np.sin(2 * np.pi * generator.uniform(12, 16) * time) > 0, 1.5, 1.0)
    phase = 2 * np.pi * np.cumsum(falling * jumps) / SAMPLE_RATE
    bright = 0.5 + 0.5 * np.sin(2 * np.pi * generator.uniform(3, 5) * time)
    tones = sum(bright ** (order / 2) * np.sin(order * phase) / order for order in range(1, 9))
    faded = np.minimum(1, np.minimum(time / 0.01, (seconds - time) / 0.2))
    return 0.5 * faded * tones / np.abs(tones).max()


def write_beams(folder: Path) -> list[np.ndarray]:
    """The collection, in a folder as a user would have it."""
    folder.mkdir(parents=True, exist_ok=True)
    beams = [beam(number) for number in range(BEAMS)]
    for number, audio in enumerate(beams):
        soundfile.write(folder / f"beam {number + 1}.wav", audio, SAMPLE_RATE)
        (folder / f"beam {number + 1}.txt").write_text("beam\n", encoding="utf-8")
    return beams


def learn(model: str, work: Path, changes: list[str]) -> Path:
    """The LoRA of the collection, learned now or by a call before this one."""
    path = work / "run" / "lora.safetensors"
    settings = [f"model={model}", f"data={work / 'beams'}", f"output={work / 'run'}"]
    settings += [f"trigger={TRIGGER}", f"resume={str((work / 'run').is_dir()).lower()}", *changes]
    command = [sys.executable, "training/finetune_lora.py", "configs/own_lora.yaml", *settings]
    if not path.is_file():
        subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
    return path


def takes(model: str, lora: Path, scale: float, count: int) -> dict[str, list[np.ndarray]]:
    """Sounds (S,) of both prompts, with so much of the LoRA."""
    sampler = load_model(describe_model(find_model(model)), "auto", "auto")
    if scale:
        merge_lora(sampler.transformer, lora, scale)
    sounds: dict[str, list[np.ndarray]] = {}
    for prompt in (BEAM, DOG):
        requests = (Request(prompt, seconds=SECONDS, seed=seed) for seed in range(count))
        sounds[prompt] = [sampler(request)[0, 0].float().cpu().numpy() for request in requests]
    return sounds


def embedded(aligner: WooshClap, sounds: list[np.ndarray]) -> Tensor:
    """Of sounds (S,) at 48 kHz: (N, D), of length 1."""
    heard = [resample(audio, SAMPLE_RATE, aligner.sample_rate) for audio in sounds]
    return torch.nn.functional.normalize(embed_sounds(aligner, heard), dim=1)


def among(embeddings: Tensor) -> float:
    """Mean cosine of all pairs of different sounds."""
    count = len(embeddings)
    return float(((embeddings @ embeddings.mT).sum() - count) / (count * (count - 1)))


def main() -> None:
    """Teach, make takes, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--work", type=Path, required=True, help="folder of the collection and of the run")
    add("--model", default=DEFAULT_MODEL, metavar="NAME|DIR")
    add("--scales", type=float, nargs="+", default=[0.5, 1.0], metavar="S")
    add("--takes", type=int, default=8)
    add("settings", nargs="*", metavar="name=value", help="changes of configs/own_lora.yaml")
    options = parser.parse_intermixed_args()
    beams = write_beams(options.work.resolve() / "beams")
    lora = learn(options.model, options.work.resolve(), options.settings)
    aligner = load_clap(DEFAULT_ALIGNER)
    collection = embedded(aligner, beams)
    print("| scale | beams and the collection | dogs and the dogs before |\n|---|---|---|")
    before: Tensor | None = None
    for scale in (0.0, *options.scales):
        sounds = takes(options.model, lora, scale, options.takes)
        near = float((embedded(aligner, sounds[BEAM]) @ collection.mT).mean())
        dogs = embedded(aligner, sounds[DOG])
        if before is None:
            before = dogs
        kept = among(dogs) if scale == 0 else float((dogs @ before.mT).mean())
        print(f"| {scale:g} | {near:.2f} | {kept:.2f} |", flush=True)
    print(f"\nThe collection's sounds among each other: {among(collection):.2f}")


if __name__ == "__main__":
    main()
