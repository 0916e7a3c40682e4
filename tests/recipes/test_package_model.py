"""Trained parts become a model folder that generates."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.kept_forms import WIDE
from tests.recipes.toy_recipes import (
    CONFIGS,
    weights,
)
from tests.toys import make_transformer, randomise
from training import package_model
from woosh.autoencoder import load_autoencoder
from woosh.catalogue import describe_model
from woosh.compact_weights import compacted, restored
from woosh.generation.loading import load_sampler
from woosh.generation.pipeline import WooshPipeline
from woosh.generation.request import Request
from woosh.generation.transformer import WooshTransformer
from woosh.training.config import load_config, replace_fields
from woosh.weight_files import COMPACT_FILE


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


@pytest.fixture
def wide_config(
    mel_run: Path, latents_run: Path, text_run: Path, manifest: Path, tmp_path: Path
) -> package_model.Config:
    """Of a transformer so wide that its matrices are rounded, and a mel autoencoder, in eight bits."""
    wide = randomise(make_transformer(width=WIDE), 1)
    wide.save_pretrained(tmp_path / "wide" / "transformer")
    return replace_fields(
        load_config(package_model.Config, CONFIGS / "package_tiny.yaml"),
        output=str(tmp_path / "model"),
        records=str(tmp_path / "records"),
        manifest=str(manifest),
        autoencoder=str(mel_run),
        autoencoder_stages=(),
        transformer_stages=(),
        latents=str(latents_run),
        text_encoder=str(text_run),
        transformer=str(tmp_path / "wide"),
        eight_bits=True,
    )


def test_a_model_in_eight_bits_holds_rounded_weights_and_plays(
    wide_config: package_model.Config, mel_run: Path, tmp_path: Path
) -> None:
    package_model.main(wide_config)
    model = tmp_path / "model"
    wide = WooshTransformer.from_pretrained(tmp_path / "wide" / "transformer")
    parts = {"transformer": wide, "autoencoder": load_autoencoder(mel_run / "autoencoder")}
    sampler = load_sampler(model)
    for name, part in parts.items():
        assert sorted(p.name for p in (model / name).iterdir()) == ["config.json", COMPACT_FILE]
        state = getattr(sampler, name).state_dict()
        # The recipe rounds to half precision first.
        wanted = restored(compacted(part.half()), torch.float32)
        assert state.keys() == wanted.keys()
        assert all(torch.equal(value, state[name]) for name, value in wanted.items())
    kept = load_file(model / "transformer" / COMPACT_FILE)
    assert sum(value.numel() for value in kept.values() if value.dtype == torch.int8) > 300_000
    assert not (model / "text_encoder" / COMPACT_FILE).exists()
    pipeline = WooshPipeline.from_pretrained(model, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    options = {"seconds": 0.5, "num_inference_steps": 2}
    made = pipeline("a tone", generator=torch.Generator().manual_seed(0), **options).audios
    assert np.array_equal(made, sampler(Request("a tone", seconds=0.5, steps=2, seed=0)).numpy())
    assert made.shape == (1, 1, 24_000) and np.abs(made).max() > 0


def test_eight_bits_change_the_size_and_not_the_count(
    wide_config: package_model.Config, tmp_path: Path
) -> None:
    package_model.main(wide_config)
    small = describe_model(tmp_path / "model")
    package_model.main(replace_fields(wide_config, eight_bits=False))
    large = describe_model(tmp_path / "model")
    assert not list((tmp_path / "model").rglob(COMPACT_FILE))
    assert small.parameters == large.parameters and small.size < 0.8 * large.size
    with pytest.raises(ValueError, match="more than 10"):
        package_model.main(replace_fields(wide_config, size_limit=10))
