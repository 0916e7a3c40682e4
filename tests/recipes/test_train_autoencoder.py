"""The autoencoder's recipe at toy size: it runs, learns, resumes exactly, and keeps what is frozen."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.recipes.toy_recipes import (
    ADVERSARIAL,
    Killed,
    autoencoder_config,
    check_end,
    killed_after_saving,
    same,
    weights,
)
from tests.toys import (
    make_autoencoder,
)
from training import train_autoencoder
from woosh.autoencoder import WooshAutoencoder
from woosh.training.autoencoder.steps import (
    AutoencoderBatch,
    disturbed,
    draw_disturbance,
    set_latent_statistics,
    total_loss,
)
from woosh.training.config import replace_fields


def test_autoencoder_recipe_writes_model_statistics_and_log(autoencoder_run: Path) -> None:
    model = WooshAutoencoder.from_pretrained(autoencoder_run / "autoencoder")
    assert model.latent_mean.abs().sum() > 0 and (model.latent_std != 1).all()
    rows = [json.loads(line) for line in (autoencoder_run / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6, 6]
    assert all(np.isfinite(row["loss"]) for row in rows[:3]) and "si_sdr" in rows[3]


def test_a_resumed_autoencoder_equals_an_uninterrupted_one(
    autoencoder_run: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = autoencoder_config(manifest, tmp_path / "run")
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            train_autoencoder.main(config)
    train_autoencoder.main(replace_fields(config, resume=True))
    assert same(weights(autoencoder_run / "autoencoder"), weights(tmp_path / "run" / "autoencoder"))
    check_end(train_autoencoder.main, config, "autoencoder")


def test_magnitude_stage_teaches_the_decoder_alone(
    magnitude_run: Path, autoencoder_run: Path
) -> None:
    model = WooshAutoencoder.from_pretrained(magnitude_run / "autoencoder")
    assert model.generated_channels == 4
    before = weights(autoencoder_run / "autoencoder")
    after = weights(magnitude_run / "autoencoder")
    kept = [name for name in before if name.startswith("encoder.")]
    assert all(torch.equal(before[name], after[name]) for name in kept)
    assert torch.equal(before["latent_std"], after["latent_std"][4:])
    embedding = after["decoder.backbone.embed.weight"]
    assert (embedding[:, :4] != 0).all() and (after["components.weight"] != 0).all()


def test_decoder_stage_keeps_encoder_and_statistics(
    autoencoder_run: Path, manifest: Path, tmp_path: Path
) -> None:
    config = replace_fields(
        autoencoder_config(manifest, tmp_path / "run"),
        initial=str(autoencoder_run / "autoencoder"),
        freeze_encoder=True,
        steps=3,
    )
    train_autoencoder.main(config)
    before, after = (
        weights(autoencoder_run / "autoencoder"),
        weights(tmp_path / "run" / "autoencoder"),
    )
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed and all(name.startswith("decoder.") for name in changed)
    with pytest.raises(ValueError, match="freeze_encoder needs a trained encoder"):
        train_autoencoder.main(replace_fields(config, initial=None, output=str(tmp_path / "other")))
    untrained = replace_fields(
        config,
        initial=None,
        freeze_encoder=False,
        new_magnitude_channels=4,
        output=str(tmp_path / "other"),
    )
    with pytest.raises(ValueError, match="new_magnitude_channels needs a trained encoder"):
        train_autoencoder.main(untrained)


def test_latent_statistics_normalise_the_batches() -> None:
    model = make_autoencoder().eval()
    batches = [torch.randn(4, 1, 9600) for _ in range(3)]
    set_latent_statistics(model, batches, 3)
    with torch.no_grad():
        latents = torch.cat([model.encode(audio) for audio in batches])
    assert torch.allclose(latents.mean(dim=(0, 2)), torch.zeros(8), atol=1e-4)
    assert torch.allclose(latents.std(dim=(0, 2)), torch.ones(8), atol=0.05)


def test_autoencoder_overfits_one_batch(manifest: Path, tmp_path: Path) -> None:
    config = autoencoder_config(manifest, tmp_path)
    model = make_autoencoder()
    seconds = torch.arange(9600) / 48_000
    audio = torch.stack([torch.sin(2 * torch.pi * hertz * seconds) for hertz in (300, 900)])[
        :, None
    ]
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    batch = AutoencoderBatch(audio, torch.full((2,), 8), torch.zeros(2, 8, 21))
    for _ in range(120):
        parts, waveform = train_autoencoder.training_step(model, batch, config)
        weights = train_autoencoder.loss_weights(parts, config)
        loss = total_loss(parts, weights, waveform, config.balanced)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_disturbed_latents_keep_the_first_channels_and_get_noise() -> None:
    latents = 5.0 * torch.randn(3, 8, 400)
    kept = torch.tensor([8, 8, 3])
    clean = disturbed(latents, kept, torch.zeros(3, 8, 400), 0.1)
    assert torch.equal(clean[:2], latents[:2]) and torch.equal(clean[2, :3], latents[2, :3])
    assert not clean[2, 3:].any()
    noisy = disturbed(latents, kept, torch.randn(3, 8, 400), 0.1)
    assert (noisy - clean)[:2].std().item() == pytest.approx(0.5, rel=0.05)
    assert not noisy[2, 3:].any()


def test_disturbance_follows_from_seed_and_number() -> None:
    model, audio = make_autoencoder(), torch.zeros(8, 1, 1920)
    first, again, other = (
        draw_disturbance(model, audio, 0.25, (3, 7), 0, number) for number in (7, 7, 8)
    )
    for batch in (first, again, other):
        kept = batch.kept
        assert kept[:6].tolist() == [8] * 6 and min(kept[6:]) >= 3 and max(kept[6:]) < 8
        assert batch.noise.shape == (8, 8, 5)
    assert torch.equal(first.noise, again.noise) and torch.equal(first.kept, again.kept)
    assert not torch.equal(first.noise, other.noise)


def scalars(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_discriminators_judge_from_their_start_and_resume_exactly(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace_fields(
        autoencoder_config(manifest, tmp_path / "whole"),
        discriminator_start=2,
        balanced=True,
        log_every=1,
        **ADVERSARIAL,
    )
    train_autoencoder.main(config)
    rows = [row for row in scalars(tmp_path / "whole") if "loss" in row]
    assert ["adversarial" in row for row in rows] == [False, False, True, True, True, True]
    assert rows[2]["gradient_norm_1"] > 0 and 0 < rows[2]["discriminators"] < 3
    halved = replace_fields(config, output=str(tmp_path / "halved"))
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            train_autoencoder.main(halved)
    train_autoencoder.main(replace_fields(halved, resume=True))
    first, second = (weights(tmp_path / run / "autoencoder") for run in ("whole", "halved"))
    assert same(first, second)
    plain = replace_fields(config, output=str(tmp_path / "plain"), adversarial_weight=0.0)
    train_autoencoder.main(plain)
    assert not same(first, weights(tmp_path / "plain" / "autoencoder"))


def test_a_stereo_autoencoder_trains(manifest: Path, tmp_path: Path) -> None:
    config = replace_fields(
        autoencoder_config(manifest, tmp_path / "run"),
        audio_channels=2,
        mid_side=True,
        activation_checkpointing=True,
    )
    train_autoencoder.main(config)
    model = WooshAutoencoder.from_pretrained(tmp_path / "run" / "autoencoder")
    assert model(torch.randn(1, 2, 9600)).shape == (1, 2, 9600)
