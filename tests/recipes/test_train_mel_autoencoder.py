"""The mel autoencoder's recipe at toy size: components of the sounds, a loss that is right, exact resuming, and its flow."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.recipes.toy_recipes import (
    CONFIGS,
    Killed,
    check_end,
    flow_config,
    killed_after_saving,
    mel_autoencoder_config,
    same,
    weights,
)
from tests.toys import make_mel_autoencoder, make_pipeline
from training import encode_latents, package_model, train_flow, train_mel_autoencoder
from woosh.autoencoder import WooshMelAutoencoder, load_autoencoder
from woosh.catalogue import describe_model
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.settings import SamplingSettings
from woosh.generation.transformer import WooshTransformer
from woosh.training.autoencoder.components import fit_components
from woosh.training.autoencoder.detail import DoubtDistribution, draw_detail, training_step
from woosh.training.config import load_config, replace_fields


def test_the_recipe_writes_a_model_and_a_log(mel_run: Path) -> None:
    model = load_autoencoder(mel_run / "autoencoder")
    assert isinstance(model, WooshMelAutoencoder) and model.mean.abs().sum() > 0
    rows = [json.loads(line) for line in (mel_run / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6, 6]
    assert all(np.isfinite(row["loss"]) for row in rows[:3]) and "mel_distance" in rows[3]


def test_a_resumed_run_equals_an_uninterrupted_one(
    mel_run: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = mel_autoencoder_config(manifest, tmp_path / "run")
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            train_mel_autoencoder.main(config)
    train_mel_autoencoder.main(replace_fields(config, resume=True))
    assert same(weights(mel_run / "autoencoder"), weights(tmp_path / "run" / "autoencoder"))
    check_end(train_mel_autoencoder.main, config, "autoencoder")


def test_a_run_from_another_keeps_its_latents(
    mel_run: Path, manifest: Path, tmp_path: Path
) -> None:
    config = mel_autoencoder_config(manifest, tmp_path / "run")
    config = replace_fields(config, initial=str(mel_run / "autoencoder"), steps=2, evaluate_every=0)
    train_mel_autoencoder.main(config)
    before, after = weights(mel_run / "autoencoder"), weights(tmp_path / "run" / "autoencoder")
    buffers = ("mean", "components", "deviations")
    assert all(torch.equal(before[name], after[name]) for name in buffers)
    assert not same(before, after)


def test_components_are_the_principal_ones() -> None:
    """Latents of the sounds that they were fitted to are uncorrelated, with the deviations that are kept."""
    model = WooshMelAutoencoder(
        bands=16, latent_channels=8, width=16, inner_width=24, detail_layers=1
    )
    generator = torch.Generator().manual_seed(0)
    sounds = [torch.randn(1, 40_000, generator=generator) * 0.1**k for k in range(4)]
    fit_components(model, sounds)
    tokens = torch.cat([model.channels(model.levels(sound[None]))[0] for sound in sounds])
    covariance = torch.cov((tokens * model.units)[:, :8].T, correction=0)
    assert torch.allclose(covariance.diag().sqrt(), model.deviations[:8], rtol=1e-3)
    rest = covariance - torch.diag(covariance.diag())
    assert rest.abs().max() < 1e-3 * covariance.max()
    assert (model.deviations.diff() <= 0).all()
    identity = model.components @ model.components.T
    assert torch.allclose(identity, torch.eye(64), atol=1e-5)


def test_components_of_too_few_sounds_are_refused() -> None:
    with pytest.raises(ValueError, match="too few for 512 components"):
        fit_components(make_mel_autoencoder(), [torch.randn(1, 48_000)])


def test_the_loss_of_a_perfect_guess_is_nothing() -> None:
    """Channels of which all are given without doubt leave nothing to draw."""
    model = WooshMelAutoencoder(
        bands=2, latent_channels=8, width=16, inner_width=24, detail_layers=1
    )
    sure, doubtful = DoubtDistribution(1.0, 0.1, 0.5), DoubtDistribution(0.0, 0.1, 0.5)
    channels = torch.randn(4, 5, 8)
    batches = [draw_detail(channels, 8, kind, (-1.0, 1.0), (0, 3)) for kind in (sure, doubtful)]
    losses = [training_step(model, batch).item() for batch in batches]
    assert losses[0] < 1e-4 < losses[1]
    assert torch.equal(batches[0].noise, batches[1].noise)
    assert (batches[0].doubt == 0).all() and (batches[1].doubt >= 0.1).all()
    again = draw_detail(channels, 8, doubtful, (-1.0, 1.0), (0, 3))
    assert torch.equal(again.given, batches[1].given) and torch.equal(again.time, batches[1].time)


def test_only_what_draws_can_doubt() -> None:
    sampler = make_pipeline().sampler
    with pytest.raises(ValueError, match=r"latent_doubt is 0.2, and only a WooshMelAutoencoder"):
        dataclasses.replace(sampler, settings=SamplingSettings(latent_doubt=0.2))


@pytest.mark.parametrize("least", [0.0, 0.6])
def test_impossible_doubts(least: float) -> None:
    with pytest.raises(ValueError, match="least_doubt is"):
        DoubtDistribution(0.5, least, 0.5)


def test_its_latents_train_a_flow_that_makes_sound(
    mel_run: Path, text_run: Path, manifest: Path, tmp_path: Path
) -> None:
    """The whole way: latents with deviations and categories, a flow that is told lengths, a package, a sound."""
    overrides = (
        *(f"output={tmp_path / 'latents'}", f"data={manifest}", "twins=[engine=engine]"),
        *(f"autoencoder={mel_run / 'autoencoder'}", "twin_clips=2", "speeds=[1.0, 1.1]"),
        *("longest_seconds=1.0", "weighed_clips=4"),
    )
    encode_latents.main(load_config(encode_latents.Config, CONFIGS / "latents_mel.yaml", overrides))
    config = flow_config(tmp_path / "latents", text_run, tmp_path / "flow")
    config = replace_fields(
        config,
        latent_rate=25.0,
        lengths=(5, 13),
        summary=True,
        patch_size=1,
        balance=0.5,
        channel_weights=False,
    )
    train_flow.main(config)
    transformer = WooshTransformer.from_pretrained(tmp_path / "flow" / "transformer")
    deviations = transformer.config.latent_deviations
    assert len(deviations) == 8 and len(set(deviations)) == 8 and min(deviations) > 0
    assert transformer.prompt_summary is not None and transformer.config.latent_rate == 25.0
    package_model.main(
        load_config(
            package_model.Config,
            CONFIGS / "package_tiny.yaml",
            (
                *(f"output={tmp_path / 'model'}", f"records={tmp_path / 'records'}"),
                f"autoencoder={mel_run}",
                *(f"transformer={tmp_path / 'flow'}", f"text_encoder={text_run}"),
                *(f"latents={tmp_path / 'latents'}", f"manifest={manifest}"),
            ),
        )
    )
    sampler = load_sampler(tmp_path / "model")
    request = Request("a dog barking", seconds=1.0, seed=3, steps=2)
    first, again = sampler(request), sampler(request)
    assert first.shape == (1, 1, 48_000) and first.isfinite().all() and first.abs().max() > 0
    assert torch.equal(first, again)
    told = dataclasses.replace(request, sound_seconds=0.2)
    told.check(describe_model(tmp_path / "model"))
    assert not torch.equal(sampler(told), first)
    settings = dataclasses.replace(sampler.settings, latent_doubt=0.5)
    doubting = dataclasses.replace(sampler, settings=settings)
    assert torch.equal(doubting.latents(request), sampler.latents(request))
    assert not torch.equal(doubting(request), first)
    settings = dataclasses.replace(sampler.settings, time_shift=3.0)
    later = dataclasses.replace(sampler, settings=settings)
    assert not torch.equal(later(request), first)
