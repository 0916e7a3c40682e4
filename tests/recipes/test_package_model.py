"""Trained parts become a model folder that generates."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.recipes.toy_recipes import (
    CONFIGS,
    weights,
)
from training import package_model
from woosh.generation.pipeline import WooshPipeline
from woosh.training.config import load_config, replace_fields


def test_packaged_model_generates_and_names_every_author(
    autoencoder_run: Path,
    magnitude_run: Path,
    latents_run: Path,
    text_run: Path,
    flow_run: Path,
    manifest: Path,
    tmp_path: Path,
) -> None:
    config = replace_fields(
        load_config(package_model.Config, CONFIGS / "package_tiny.yaml"),
        output=str(tmp_path / "model"),
        records=str(tmp_path / "records"),
        manifest=str(manifest),
        autoencoder=str(magnitude_run),
        autoencoder_stages=(str(autoencoder_run),),
        transformer_stages=(),
        latents=str(latents_run),
        text_encoder=str(text_run),
        transformer=str(flow_run),
    )
    package_model.main(config)
    pipeline = WooshPipeline.from_pretrained(tmp_path / "model", dtype=torch.float32)
    assert all(
        value.dtype == torch.float16
        for value in weights(tmp_path / "model" / "transformer").values()
    )
    result = pipeline(
        "a tone", seconds=0.5, num_inference_steps=2, generator=torch.Generator().manual_seed(0)
    )
    assert result.audios.shape == (1, 1, 24_000) and np.isfinite(result.audios).all()
    text = (tmp_path / "model" / "ATTRIBUTION.md").read_text()
    assert all(f"author / {index}" in text for index in range(4)) and "author / 4" not in text
    for name in ("autoencoder_stage_1", "autoencoder", "transformer"):
        assert (tmp_path / "records" / f"{name}_log.jsonl").is_file()
    with pytest.raises(ValueError, match="more than 10"):
        package_model.main(replace_fields(config, size_limit=10))
