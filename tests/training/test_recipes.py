"""From recordings to a model folder at toy size: every recipe runs, learns, resumes exactly."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from tests.toys import (
    TEXT_WIDTH,
    make_autoencoder,
    make_text_encoder,
    make_tokenizer,
    make_transformer,
)
from training import encode_latents, package_model, train_autoencoder, train_flow
from woosh.autoencoder import WooshAutoencoder
from woosh.config import load_config
from woosh.flow import flow_loss
from woosh.latents import load_latents
from woosh.pipeline import WooshPipeline
from woosh.transformer import WooshTransformer

CONFIGS = Path(__file__).parents[2] / "configs"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


@pytest.fixture(scope="module")
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


def autoencoder_config(manifest: Path, output: Path) -> train_autoencoder.Config:
    config = load_config(train_autoencoder.Config, CONFIGS / "autoencoder_tiny.yaml")
    return dataclasses.replace(
        config,
        output=str(output),
        manifest=str(manifest),
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


@pytest.fixture(scope="module")
def autoencoder_run(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "autoencoder"
    train_autoencoder.main(autoencoder_config(manifest, output))
    return output


def test_autoencoder_recipe_writes_model_statistics_and_log(autoencoder_run: Path) -> None:
    model = WooshAutoencoder.from_pretrained(autoencoder_run / "autoencoder")
    assert model.latent_mean.abs().sum() > 0 and (model.latent_std != 1).all()
    rows = [json.loads(line) for line in (autoencoder_run / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6, 6]
    assert all(np.isfinite(row["loss"]) for row in rows[:3]) and "si_sdr" in rows[3]


class Killed(Exception):
    """Stands for a kill at a given moment."""


def killed_after(save: object, monkeypatch: pytest.MonkeyPatch, recipe: object) -> None:
    """Let the recipe's first checkpoint be its last deed."""

    def save_and_stop(*arguments: object) -> None:
        save(*arguments)  # type: ignore[operator]
        raise Killed

    monkeypatch.setattr(recipe, "save_checkpoint", save_and_stop)


def test_a_resumed_autoencoder_equals_an_uninterrupted_one(
    autoencoder_run: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = autoencoder_config(manifest, tmp_path / "run")
    with monkeypatch.context() as patch:
        killed_after(train_autoencoder.save_checkpoint, patch, train_autoencoder)
        with pytest.raises(Killed):
            train_autoencoder.main(config)
    train_autoencoder.main(dataclasses.replace(config, resume=True))
    assert same(weights(autoencoder_run / "autoencoder"), weights(tmp_path / "run" / "autoencoder"))


@pytest.fixture(scope="module")
def magnitude_run(autoencoder_run: Path, manifest: Path) -> Path:
    output = autoencoder_run.parent / "magnitude"
    config = dataclasses.replace(
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
    config = dataclasses.replace(
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
        train_autoencoder.main(dataclasses.replace(config, initial=None))


def test_latent_statistics_normalise_the_batches() -> None:
    model = make_autoencoder().eval()
    batches = [torch.randn(4, 1, 9600) for _ in range(3)]
    train_autoencoder.set_latent_statistics(model, batches)
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
    kept, noise = torch.full((2,), 8), torch.zeros(2, 8, 21)
    for _ in range(120):
        loss, _ = train_autoencoder.training_step(model, audio, kept, noise, config)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_disturbed_latents_keep_the_first_channels_and_get_noise() -> None:
    latents = 5.0 * torch.randn(3, 8, 400)
    kept = torch.tensor([8, 8, 3])
    clean = train_autoencoder.disturbed(latents, kept, torch.zeros(3, 8, 400), 0.1)
    assert torch.equal(clean[:2], latents[:2]) and torch.equal(clean[2, :3], latents[2, :3])
    assert not clean[2, 3:].any()
    noisy = train_autoencoder.disturbed(latents, kept, torch.randn(3, 8, 400), 0.1)
    assert (noisy - clean)[:2].std().item() == pytest.approx(0.5, rel=0.05)
    assert not noisy[2, 3:].any()


def test_disturbance_follows_from_seed_and_number(manifest: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(
        autoencoder_config(manifest, tmp_path), nested_share=0.25, nested_channels=(3, 7)
    )
    model, audio = make_autoencoder(), torch.zeros(8, 1, 1920)
    draws = [
        train_autoencoder.draw_disturbance(model, audio, config, number) for number in (7, 7, 8)
    ]
    for kept, noise in draws:
        assert kept[:6].tolist() == [8] * 6 and min(kept[6:]) >= 3 and max(kept[6:]) < 8
        assert noise.shape == (8, 8, 5)
    assert torch.equal(draws[0][1], draws[1][1]) and torch.equal(draws[0][0], draws[1][0])
    assert not torch.equal(draws[0][1], draws[2][1])


@pytest.fixture(scope="module")
def latents_run(magnitude_run: Path, manifest: Path) -> Path:
    output = magnitude_run.parent / "latents"
    encode_latents.main(
        encode_latents.Config(
            output=str(output),
            manifest=str(manifest),
            split="train",
            autoencoder=str(magnitude_run / "autoencoder"),
            procedural_clips=2,
            twins=("dog bark=dog", "engine=engine"),
            twin_clips=3,
            speeds=(1.0, 1.25),
            colour_decibels=3.0,
            mixed_share=0.5,
            longest_seconds=0.5,
            weighed_clips=2,
            seed=1,
        )
    )
    return output


def test_cached_latents_are_what_the_autoencoder_says(
    latents_run: Path, magnitude_run: Path, manifest: Path
) -> None:
    clips, silence, _ = load_latents(latents_run)
    recorded = [clip for clip in clips if not clip.name.startswith("procedural/")]
    assert len(recorded) == 4 * 2 * 2  # files, pieces of 0.5 s, speeds
    assert {clip.latents.shape[1] for clip in recorded} == {51, 41}
    model = WooshAutoencoder.from_pretrained(magnitude_run / "autoencoder").eval()
    audio, _ = soundfile.read(manifest.parent / recorded[0].name, dtype="float32")
    piece = torch.from_numpy(audio[:24_000])
    with torch.no_grad():
        expected = model.encode((0.8 * piece / piece.abs().max())[None, None])[0, :4]
    scale = expected.abs().max()
    assert (recorded[0].latents.float() - expected).abs().max() < 2e-3 * scale
    assert silence.shape == (4, 101)
    twins = {clip.name: clip.label for clip in clips if clip.name.startswith("procedural/")}
    assert list(twins.values())[2:] == ["dog bark"] * 3 + ["engine"] * 3


def test_a_mix_keeps_length_and_lets_the_first_sound_lead() -> None:
    first, second = np.zeros(1000), np.zeros(700)
    first[::10], second[5::10] = 1.0, 1.0
    places = set()
    for seed in range(30):
        mix = encode_latents.mixed(first, second, np.random.default_rng(seed))
        under = mix - first
        assert len(mix) == 1000 and np.square(under).sum() > 0
        peak = 20 * np.log10(under.max())
        assert -12 <= peak <= -3  # both have the same crest
        places.add(int(np.flatnonzero(under)[0]))
    assert len(places) > 5


def test_the_weight_of_a_channel_is_what_the_ear_notices_of_it(latents_run: Path) -> None:
    weight = load_latents(latents_run).channel_weight
    assert weight.shape == (4,) and weight.min() > 0 and abs(weight.mean().item() - 1) < 1e-5

    model = make_autoencoder().eval()
    with torch.no_grad():
        model.decoder.backbone.embed.weight[:, 2] = 0.0  # the decoder is deaf to this channel
        model.decoder.backbone.embed.weight[:, 5] *= 20.0
    latents = torch.randn(8, 60, generator=torch.Generator().manual_seed(0))
    measured = [
        encode_latents.channel_weight(model, [latents], torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(measured[0], measured[1]) and not torch.equal(measured[0], measured[2])
    assert measured[0][2] == 0 and measured[0].argmax() == 5
    with pytest.raises(ValueError, match="no clip of 10 latent frames"):
        encode_latents.channel_weight(model, [], torch.Generator())


def test_colour_changes_the_spectrum_smoothly_and_by_the_decibels_asked() -> None:
    click = np.zeros(48_000)
    click[100] = 1.0
    generator = np.random.default_rng(0)
    responses = np.stack(
        [
            20 * np.log10(np.abs(np.fft.rfft(encode_latents.coloured(click, 3.0, generator))))
            for _ in range(200)
        ]
    )
    assert 2.5 < responses.std() < 3.5
    assert np.abs(np.diff(responses[:, 100:], axis=1)).max() < 0.2  # dB from one hertz to the next
    assert np.allclose(encode_latents.coloured(click, 0.0, generator), click)


@pytest.fixture(scope="module")
def text_run(autoencoder_run: Path) -> Path:
    output = autoencoder_run.parent / "text"
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(output / "tokenizer")
    torch.manual_seed(0)
    make_text_encoder(len(tokenizer)).save_pretrained(output / "text_encoder")
    return output


def flow_config(latents: Path, text: Path, output: Path) -> train_flow.Config:
    config = load_config(train_flow.Config, CONFIGS / "flow_tiny.yaml")
    return dataclasses.replace(
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


@pytest.fixture(scope="module")
def flow_run(latents_run: Path, text_run: Path) -> Path:
    output = latents_run.parent / "flow"
    train_flow.main(flow_config(latents_run, text_run, output))
    return output


def test_flow_recipe_writes_the_average_and_a_log(flow_run: Path) -> None:
    model = WooshTransformer.from_pretrained(flow_run / "transformer")
    assert model.config.text_width == TEXT_WIDTH and model.final.linear.weight.abs().sum() > 0
    rows = [json.loads(line) for line in (flow_run / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert all(np.isfinite(row["error"]) and row["clips_per_second"] > 0 for row in rows)


@pytest.mark.slow
def test_compiled_blocks_give_the_same_training(
    flow_run: Path, latents_run: Path, text_run: Path, tmp_path: Path
) -> None:
    config = flow_config(latents_run, text_run, tmp_path / "run")
    train_flow.main(dataclasses.replace(config, compile=True))
    plain, compiled = (
        [json.loads(line)["error"] for line in (run / "log.jsonl").read_text().splitlines()]
        for run in (flow_run, tmp_path / "run")
    )
    assert compiled == pytest.approx(plain, rel=1e-3)


def test_a_resumed_flow_equals_an_uninterrupted_one(
    flow_run: Path,
    latents_run: Path,
    text_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = flow_config(latents_run, text_run, tmp_path / "run")
    with monkeypatch.context() as patch:
        killed_after(train_flow.save_checkpoint, patch, train_flow)
        with pytest.raises(Killed):
            train_flow.main(config)
    train_flow.main(dataclasses.replace(config, resume=True))
    assert same(weights(flow_run / "transformer"), weights(tmp_path / "run" / "transformer"))


def test_flow_overfits_one_batch() -> None:
    model = make_transformer()
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 8, 20, generator=generator)
    noise = torch.randn(2, 8, 20, generator=generator)
    text, mask = torch.randn(2, 12, TEXT_WIDTH, generator=generator), torch.ones(2, 12)
    time = torch.tensor([0.3, 0.8])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    errors = []
    for _ in range(80):
        loss, logs = train_flow.training_step(
            model, latents, text, mask, noise, time, torch.ones(8)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(logs["error"].item())
    assert errors[-1] < 0.3 * errors[0]


def test_training_step_starts_at_the_variance_of_the_target() -> None:
    """The network starts with velocity zero, so the first error is the target's power."""
    model = make_transformer()
    latents, noise = torch.randn(2, 8, 20), torch.randn(2, 8, 20)
    text, mask = torch.randn(2, 12, TEXT_WIDTH), torch.ones(2, 12)
    weight = torch.arange(8) / 3.5
    _, logs = train_flow.training_step(
        model, latents, text, mask, noise, torch.tensor([0.3, 0.8]), weight
    )
    power = (noise - latents).square().mean(dim=(0, 2))
    assert torch.allclose(logs["weighted_error"], (weight * power).mean())
    assert torch.allclose(logs["error"], flow_loss(torch.zeros_like(noise), noise - latents))


def test_packaged_model_generates_and_names_every_author(
    autoencoder_run: Path,
    magnitude_run: Path,
    latents_run: Path,
    text_run: Path,
    flow_run: Path,
    manifest: Path,
    tmp_path: Path,
) -> None:
    config = dataclasses.replace(
        load_config(package_model.Config, CONFIGS / "package_tiny.yaml"),
        output=str(tmp_path / "model"),
        records=str(tmp_path / "records"),
        manifest=str(manifest),
        autoencoder=str(magnitude_run),
        autoencoder_stages=(str(autoencoder_run),),
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
        package_model.main(dataclasses.replace(config, size_limit=10))
