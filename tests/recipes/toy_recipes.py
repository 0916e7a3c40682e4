"""Configurations of the recipes at toy size, and what their tests share."""

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from tests.paths import ROOT
from tests.toy_teacher import save_toy_teacher
from tests.toys import save_pipeline
from training import (
    distill_flow,
    finetune_lora,
    imitate_tagger,
    teach,
    train_autoencoder,
    train_clap,
    train_flow,
    train_mel_autoencoder,
    train_tagger,
    train_text_encoder,
)
from woosh.taggers import AudioTagger
from woosh.taggers.mobilenet import MobileNet
from woosh.training import run
from woosh.training.config import load_config, replace_fields

CONFIGS = ROOT / "configs"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def autoencoder_config(manifest: Path, output: Path) -> train_autoencoder.Config:
    config = load_config(train_autoencoder.Config, CONFIGS / "autoencoder_tiny.yaml")
    return replace_fields(
        config,
        output=str(output),
        data=str(manifest),
        procedural_clips=2,
        latent_channels=8,
        width=16,
        inner_width=24,
        encoder_layers=1,
        decoder_layers=1,
        crop_seconds=0.2,
        mixstyle_share=0.5,
        batch_size=2,
        steps=6,
        warmup_steps=2,
        nested_channels=(2, 7),
        statistics_batches=2,
        precision="no",
        log_every=2,
        save_every=3,
        evaluate_every=6,
    )


def mel_autoencoder_config(manifest: Path, output: Path) -> train_mel_autoencoder.Config:
    config = load_config(train_mel_autoencoder.Config, CONFIGS / "mel_autoencoder_tiny.yaml")
    return replace_fields(
        config,
        output=str(output),
        data=str(manifest),
        bands=16,
        latent_channels=8,
        width=16,
        inner_width=24,
        detail_layers=1,
        crop_seconds=0.4,
        batch_size=2,
        steps=6,
        warmup_steps=2,
        precision="no",
        log_every=2,
        save_every=3,
        evaluate_every=6,
    )


def flow_config(latents: Path, text: Path, output: Path) -> train_flow.Config:
    config = load_config(train_flow.Config, CONFIGS / "flow_tiny.yaml")
    return replace_fields(
        config,
        output=str(output),
        latents=str(latents),
        text_encoder=str(text / "text_encoder"),
        tokenizer=str(text / "tokenizer"),
        width=32,
        inner_width=48,
        joint_blocks=1,
        fused_blocks=1,
        heads=2,
        rotary_channels=16,
        time_features=16,
        lengths=(20, 50),
        length_chances=(0.5, 0.5),
        frames_per_batch=100,
        favoured=("dog bark",),
        steps=6,
        warmup_steps=2,
        ema_decay=0.5,
        precision="no",
        compile=False,
        log_every=2,
        save_every=3,
    )


def distill_config(latents: Path, text: Path, flow: Path, output: Path) -> distill_flow.Config:
    config = load_config(distill_flow.Config, CONFIGS / "distill_tiny.yaml")
    return replace_fields(
        config,
        output=str(output),
        latents=str(latents),
        text_encoder=str(text / "text_encoder"),
        tokenizer=str(text / "tokenizer"),
        teacher=str(flow / "transformer"),
        lengths=(20, 50),
        length_chances=(0.5, 0.5),
        frames_per_batch=100,
        favoured=("dog bark",),
        embedding_steps=20,
        difference_steps=2,
        adversarial_weight=0.5,
        discriminator_blocks=(0, 1),
        discriminator_start=2,
        generator_start=4,
        steps=6,
        warmup_steps=2,
        ema_decay=0.5,
        precision="no",
        compile=False,
        log_every=2,
        save_every=3,
    )


def clap_config(manifest: Path, text: Path, output: Path) -> train_clap.Config:
    config = load_config(train_clap.Config, CONFIGS / "clap_tiny.yaml")
    return replace_fields(
        config,
        output=str(output),
        data=str(manifest),
        procedural_clips=2,
        audio_weights=None,
        mobilenet_width=0.1,
        text_encoder=str(text / "text_encoder"),
        tokenizer=str(text / "tokenizer"),
        max_tokens=12,
        width=8,
        mixstyle_share=0.5,
        batch_size=3,
        steps=4,
        warmup_steps=1,
        log_every=2,
        statistics_batches=2,
        save_every=2,
    )


def toy_tagger(seed: int, labels: tuple[str, ...]) -> AudioTagger:
    """A random MobileNet, its norms used to noise: without that, all sounds give it the same logits."""
    torch.manual_seed(seed)
    network = MobileNet(0.1, classes=len(labels))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean of all that it has seen
    with torch.no_grad():
        network.train()(torch.randn(8, 1, 128, 60))
    return AudioTagger(network, labels).eval()


def teach_config(manifest: Path, tagger: Path, output: Path) -> teach.Config:
    config = load_config(teach.Config, CONFIGS / "teach_tiny.yaml")
    return replace_fields(
        config,
        output=str(output),
        data=(str(manifest),),
        procedural_clips=2,
        teachers=(f"tagger:{tagger}",),
        sounds=10,
        seconds=(0.2, 0.4),
        response_share=0.0,
        responses=None,
        sounds_per_shard=4,
    )


def tagger_config(taught: Path, output: Path) -> train_tagger.Config:
    config = load_config(train_tagger.Config, CONFIGS / "tagger_tiny.yaml")
    return replace_fields(
        config,
        output=str(output),
        data=str(taught),
        validation_data=str(taught),
        initial=None,
        width=0.1,
        batch_size=3,
        steps=4,
        warmup_steps=2,
        log_every=2,
        save_every=2,
        evaluate_every=4,
        epoch_steps=2,
        statistics_batches=2,
    )


def imitation_config(taught: Path, teacher: Path, output: Path) -> imitate_tagger.Config:
    config = load_config(imitate_tagger.Config, CONFIGS / "imitate_tiny_blocks.yaml")
    return replace_fields(
        config,
        output=str(output),
        data=str(taught),
        validation_data=str(taught),
        teacher=str(teacher),
        batch_size=3,
        steps=4,
        warmup_steps=2,
        log_every=2,
        save_every=2,
        evaluate_every=4,
        statistics_batches=2,
    )


ADVERSARIAL = {
    "adversarial_weight": 1.0,
    "features_weight": 2.0,
    "discriminator_periods": (2, 3),
    "discriminator_windows": (256,),
    "discriminator_bands": 2,
    "discriminator_width": 2,
}


def text_encoder_config(folder: Path) -> train_text_encoder.Config:
    """With a toy teacher and a corpus in the folder."""
    (folder / "labels").mkdir()
    (folder / "ucs.json").write_text("[]")
    (folder / "audioset_ontology.json").write_text("[]")
    row = {"captions": ["a dog barking", "rain falling on a roof"]}
    (folder / "manifest.jsonl").write_text(json.dumps(row) + "\n")
    return replace_fields(
        load_config(train_text_encoder.Config, CONFIGS / "text_encoder_tiny.yaml"),
        output=str(folder / "output"),
        text_folder=str(folder),
        manifest=str(folder / "manifest.jsonl"),
        teacher=str(save_toy_teacher(folder / "teacher")),
        phrases=9_000,
        held_out=20,
        vocabulary_size=400,
        width=8,
        layers=1,
        heads=2,
        inner_width=16,
        steps=4,
        batch_size=16,
        length_groups=2,
        warmup_steps=1,
        log_every=1,
        save_every=2,
    )


def lora_config(folder: Path) -> finetune_lora.Config:
    """With a toy model and three sounds in the folder."""
    sounds = folder / "sounds"
    sounds.mkdir()
    for index in range(3):
        tone = 0.3 * np.sin(np.arange(24_000) * 0.05 * (index + 1))
        soundfile.write(sounds / f"castle door {index}.wav", tone, 48_000)
    (sounds / "castle door 0.txt").write_text("a door\nanother door\n")
    return replace_fields(
        load_config(finetune_lora.Config, CONFIGS / "lora_tiny.yaml"),
        output=str(folder / "run"),
        model=str(save_pipeline(folder / "model")),
        data=str(sounds),
        trigger="camelot",
        rank=2,
        alpha=4.0,
        lengths=(0.2, 0.4),
        batch_size=3,
        steps=4,
        warmup_steps=1,
        precision="no",
        log_every=2,
        save_every=2,
    )


class Killed(Exception):
    """Stands for a kill at a given moment."""


def killed_after_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a recipe's first checkpoint be its last deed."""
    save = run.save_checkpoint

    def save_and_stop(*arguments: object) -> None:
        save(*arguments)  # type: ignore[arg-type]
        raise Killed

    monkeypatch.setattr(run, "save_checkpoint", save_and_stop)


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes, as on a disk without space."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def check_end(main: Callable[[Any], object], config: Any, name: str) -> None:
    """Check the end of a run that has no step left: a full disk and a kill cost nothing that is on the disk.

    Args:
        main: the recipe's.
        config: of a run that is complete.
        name: of what it leaves in its output folder.
    """
    resumed, target = replace_fields(config, resume=True), Path(config.run.output) / name
    files = [target] if target.is_file() else sorted(target.rglob("*.safetensors"))
    before = {file: load_file(file) for file in files}
    largest = max(file.stat().st_size for file in files)
    with (
        files_up_to(largest // 2),
        pytest.raises(OSError, match=f"cannot write {target.parent}"),
    ):
        main(resumed)
    assert all(same(load_file(file), values) for file, values in before.items())
    assert not list(target.parent.glob("*.partial")) + list(target.parent.glob("*.previous"))
    # Killed between its last checkpoint and this.
    if target.is_file():
        target.unlink()
    else:
        shutil.rmtree(target)
    main(resumed)
    assert all(same(load_file(file), values) for file, values in before.items())
