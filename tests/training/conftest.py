"""Toy runs from recordings to transformer, each made once and handed to the next."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.toys import (
    make_text_encoder,
    make_tokenizer,
)
from tests.training.toy_recipes import (
    CONFIGS,
    autoencoder_config,
    clap_config,
    flow_config,
)
from training import encode_latents, train_autoencoder, train_clap, train_flow
from woosh.config import load_config, replace_fields


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    generator = np.random.default_rng(0)
    rows = []
    for index in range(6):
        seconds = np.arange(48_000) / 48_000
        tone = np.sin(2 * np.pi * 300 * (index + 1) * seconds) * np.exp(-3 * seconds)
        audio = 0.4 * tone + 0.02 * generator.standard_normal(48_000)
        soundfile.write(folder / f"{index}.wav", audio, 48_000)
        label = "dog bark" if index % 2 else ""
        row = {"file": f"{index}.wav", "captions": ["a tone", "beep"], "seconds": 1.0}
        extra = {
            "split": "train" if index < 4 else "validation",
            "label": label,
            "group": str(index),
        }
        notes = {
            "author": f"author | {index}",
            "licence": "CC0-1.0",
            "url": "",
            "source": "made/up",
        }
        rows.append({**row, **extra, **notes})
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture(scope="session")
def autoencoder_run(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "autoencoder"
    train_autoencoder.main(autoencoder_config(manifest, output))
    return output


@pytest.fixture(scope="session")
def magnitude_run(autoencoder_run: Path, manifest: Path) -> Path:
    output = autoencoder_run.parent / "magnitude"
    config = replace_fields(
        autoencoder_config(manifest, output),
        initial=str(autoencoder_run / "autoencoder"),
        freeze_encoder=True,
        new_magnitude_channels=4,
        nested_share=0.5,
        nested_channels=(4, 4),
        steps=4,
    )
    train_autoencoder.main(config)
    return output


@pytest.fixture(scope="session")
def latents_run(magnitude_run: Path, manifest: Path) -> Path:
    output = magnitude_run.parent / "latents"
    encode_latents.main(
        replace_fields(
            load_config(encode_latents.Config, CONFIGS / "latents_tiny.yaml"),
            output=str(output),
            data=str(manifest),
            autoencoder=str(magnitude_run / "autoencoder"),
            procedural_clips=2,
            twins=("dog bark=dog", "engine=engine"),
            twin_clips=3,
            speeds=(1.0, 1.25),
            mixed_share=0.5,
            longest_seconds=0.5,
            weighed_clips=2,
            clips_per_shard=3,
            seed=1,
        )
    )
    return output


@pytest.fixture(scope="session")
def text_run(autoencoder_run: Path) -> Path:
    output = autoencoder_run.parent / "text"
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(output / "tokenizer")
    torch.manual_seed(0)
    make_text_encoder(len(tokenizer)).save_pretrained(output / "text_encoder")
    return output


@pytest.fixture(scope="session")
def flow_run(latents_run: Path, text_run: Path) -> Path:
    output = latents_run.parent / "flow"
    train_flow.main(flow_config(latents_run, text_run, output))
    return output


@pytest.fixture(scope="session")
def clap_run(manifest: Path, text_run: Path) -> Path:
    output = manifest.parent / "clap_run"
    train_clap.main(clap_config(manifest, text_run, output))
    return output
