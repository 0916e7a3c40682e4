"""Configurations of the recipes at toy size, and what their tests share."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training import train_autoencoder, train_clap, train_flow
from woosh.config import load_config, replace_fields
from woosh.training import run

CONFIGS = Path(__file__).parents[2] / "configs"


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


def clap_config(manifest: Path, text: Path, output: Path) -> train_clap.Config:
    config = load_config(train_clap.Config, CONFIGS / "clap_tiny.yaml")
    return replace_fields(
        config,
        output=str(output),
        data=str(manifest),
        procedural_clips=2,
        mobilenet_width=0.1,
        text_encoder=str(text / "text_encoder"),
        tokenizer=str(text / "tokenizer"),
        max_tokens=12,
        width=8,
        batch_size=3,
        steps=4,
        warmup_steps=1,
        log_every=2,
        statistics_batches=2,
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
