"""The classifier, its augmentation and recipe, and the two evaluations that stand on it."""

import dataclasses
import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from torch.nn import functional

from tests.paths import ROOT
from tests.toys import save_pipeline
from woosh.metrics.originality import originality, recording_distances
from woosh.taggers.classifier import (
    CATEGORY_LABELS,
    FLOOR,
    LABELS,
    OTHER,
    PROMPTS,
    UNDECIDED_CATEGORIES,
    SoundClassifier,
    class_of,
    normalise,
    padded,
    read_recordings,
    statistics,
)
from woosh.training.config import load_config
from woosh.training.taggers.augmentation import (
    SpectrumAugmentation,
    add_noise,
    augment,
    colour,
    fill,
    mask,
    mix,
    reverberate,
    warp,
)


def script(folder: str, name: str) -> ModuleType:
    """Imports a thin entry point, which is in no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / folder / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model() -> SoundClassifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SoundClassifier(widths=(4, 6, 8, 8), embedding_width=8, members=2).eval()


def spectra(count: int = 6, frames: int = 100) -> torch.Tensor:
    return normalise(FLOOR + 70 * torch.rand(count, 64, frames, generator=generator()))


def tone(frequency: float, seconds: float = 1.0) -> torch.Tensor:
    time = torch.arange(round(48_000 * seconds)) / 48_000
    return 0.5 * torch.sin(2 * math.pi * frequency * time)


def test_every_class_has_a_prompt_and_categories_are_unambiguous() -> None:
    assert len(PROMPTS) == len(LABELS) == OTHER == len(set(LABELS))
    assert not set(CATEGORY_LABELS) & UNDECIDED_CATEGORIES
    assert class_of("rooster", "BIRDFowl") == LABELS.index("rooster")
    assert class_of(None, "RAIN") == LABELS.index("rain")
    assert class_of(None, "STORM") is None
    assert class_of(None, "DOORWood") == OTHER
    with pytest.raises(ValueError, match="none of the classes"):
        class_of("violin", "MUSC")


def test_verdict_does_not_depend_on_gain(model: SoundClassifier) -> None:
    audio = torch.randn(2, 1, 48_000, generator=generator()) * 0.1
    loud, quiet = (model(model.mel_decibels(audio * gain)) for gain in (1.0, 0.01))
    assert torch.allclose(loud.logits, quiet.logits, atol=1e-4)
    assert loud.logits.shape == (2, OTHER + 1)
    assert torch.allclose(loud.logits.exp().sum(dim=-1), torch.ones(2))


def test_log_mel_range_and_silence(model: SoundClassifier) -> None:
    decibels = model.mel_decibels(torch.stack([tone(440), torch.zeros(48_000)])[:, None])
    assert decibels.shape == (2, 64, 51)
    assert decibels[0].max() == 0 and decibels[0].min() >= FLOOR
    assert (decibels[1] == FLOOR).all()


def test_clips_of_a_batch_are_judged_alone(model: SoundClassifier) -> None:
    batch = spectra()
    together, alone = model(batch), model(batch[2:3])
    assert torch.allclose(together.logits[2], alone.logits[0], atol=1e-5)
    assert torch.allclose(together.embedding[2], alone.embedding[0], atol=1e-5)


def test_ensemble_averages_probabilities(model: SoundClassifier) -> None:
    verdict = model(spectra())
    mean = verdict.member_logits.softmax(dim=-1).mean(dim=0)
    assert torch.allclose(verdict.logits.exp(), mean, atol=1e-6)
    assert not torch.allclose(*verdict.member_logits)


def test_save_and_load(model: SoundClassifier, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    loaded = SoundClassifier.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(spectra()).logits, model(spectra()).logits)


def test_every_parameter_gets_a_gradient(model: SoundClassifier) -> None:
    model.train()
    model(spectra()).member_logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_warp_moves_a_tone_by_the_pitch(model: SoundClassifier) -> None:
    decibels = model.mel_decibels(tone(2000, 2.0)[None, None]).expand(64, -1, -1)
    middle = decibels.shape[-1] // 2
    before = decibels[0, :, middle].argmax().item()
    after = warp(decibels, 0.12, generator())[:, :, middle].argmax(dim=-1)
    # 12 % are 1.65 mel of the logarithmic part; the 64 bands lie 0.86 mel apart.
    assert set(range(before - 1, before + 2)) <= set(after.tolist())
    assert (after - before).abs().max() <= 3
    assert torch.allclose(warp(decibels, 0.0, generator()), decibels, atol=0.05)


def test_speed_scales_the_time_axis() -> None:
    decibels = torch.full((200, 64, 101), FLOOR)
    decibels[:, :, 80] = 0.0
    place = warp(decibels, 0.1, generator())[:, 30].argmax(dim=-1).float()
    assert place.min() < 79 and place.max() > 81
    assert (place - 50).min() >= 30 / 1.1 - 1 and (place - 50).max() <= 30 / 0.9 + 1


def test_silence_stays_silent_under_colour_and_reverberation() -> None:
    decibels = spectra()
    decibels[:, :, 50:] = FLOOR
    assert (colour(decibels, SpectrumAugmentation(), generator())[:, :, 50:] == FLOOR).all()
    dry = torch.zeros(4, 64, 50)
    assert reverberate(dry, 1.0, generator()).abs().max() == 0
    dry[:, :, 10] = 1.0
    wet = reverberate(dry, 1.0, generator())
    assert wet[:, :, :10].max() < 1e-6  # an echo never comes first
    assert (wet[:, :, 11:-1] >= wet[:, :, 12:] - 1e-6).all()


def test_mix_keeps_the_louder_clip_in_the_lead() -> None:
    targets = functional.one_hot(torch.arange(6), OTHER + 1).float()
    power = torch.rand(6, 64, 10, generator=generator())
    mixed, shares = mix(power, targets, 1.0, generator())
    assert torch.allclose(shares.sum(dim=-1), torch.ones(6))
    assert (shares.argmax(dim=-1) == torch.arange(6)).all()
    assert not torch.equal(mixed, power)
    same, kept = mix(power, targets, 0.0, generator())
    assert torch.allclose(same, power) and torch.equal(kept, targets)


def test_noise_stays_under_the_signal() -> None:
    power = torch.zeros(50, 64, 10)
    power[:, 20, 5] = 1.0
    noise = add_noise(power, 1.0, generator()) - power
    assert noise.mean() > 0
    assert 10 * noise.mean(dim=2).amax().log10() < 0


def test_masks_hide_at_most_their_width() -> None:
    decibels = torch.zeros(50, 64, 251)
    hidden = mask(decibels, 1, generator()) == FLOOR
    bands, frames = hidden.all(dim=2).sum(dim=1), hidden.all(dim=1).sum(dim=1)
    assert 0 < bands.max() <= 9 and 0 < frames.max() <= 31


@pytest.mark.parametrize("frames", [1, 40, 251, 700])
def test_fill_gives_the_length_asked_for(frames: int) -> None:
    clip = spectra(1, frames)[0]
    for seed in range(8):
        filled = fill(clip, 251, generator(seed))
        assert filled.shape == (64, 251)
        assert filled.amax() > -7
    assert fill(torch.full((64, 9), FLOOR), 20, generator()).amax() == FLOOR


def test_augmentation_is_seeded_and_in_range() -> None:
    targets = functional.one_hot(torch.arange(6), OTHER + 1).float()
    original = spectra()
    source = original.clone()
    first, second, third = (
        augment(source, targets, SpectrumAugmentation(), generator(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(source, original)
    assert torch.equal(first[0], second[0]) and not torch.equal(first[0], third[0])
    assert first[0].isfinite().all() and first[0].min() >= FLOOR
    assert torch.allclose(first[1].sum(dim=-1), torch.ones(6))


def test_statistics_ignore_silence_around_the_event() -> None:
    clip = spectra(1, 60)[0]
    clip[0] = 0.0
    assert torch.allclose(statistics(padded(clip, 251)), statistics(clip), atol=1e-4)
    assert statistics(torch.full((64, 20), FLOOR)).isfinite().all()


# Originality


def embeddings(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 12, generator=generator(seed))


def test_planted_copies_are_found() -> None:
    recordings = recording_distances(embeddings(30, 0), [str(index) for index in range(30)])
    training = embeddings(29, 1)
    outputs = embeddings(20, 2)
    honest = originality(outputs, training, recordings)
    outputs[:5] = training[20:25]
    planted = originality(outputs, training, recordings)
    assert honest.copied < 0.2 < 0.25 <= planted.copied
    assert planted.copied <= planted.below_nearest <= planted.below_pair
    assert honest.spread == pytest.approx(1, abs=0.1)


def test_collapse_shows_as_little_spread() -> None:
    recordings = recording_distances(embeddings(30, 0), [str(index) for index in range(30)])
    outputs = embeddings(1, 3) + 0.05 * embeddings(20, 2)
    assert originality(outputs, embeddings(9, 1), recordings).spread < 0.1


def test_clips_of_one_recording_are_not_compared() -> None:
    rows = torch.tensor([[0.0], [0.1], [3.0], [7.0]])
    distances = recording_distances(rows, ["a", "a", "b", "c"])
    assert torch.allclose(distances.nearest, torch.tensor([3.0, 2.9, 2.9, 4.0]).double())
    assert len(distances.pairs) == 5
    with pytest.raises(ValueError, match="nothing to compare"):
        recording_distances(rows, ["a"] * 4)


# Recipe and evaluations on a toy data set: tones of one pitch per class


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = []
    for index in range(OTHER + 1):
        for take in range(4):
            file = f"{index}-{take}.wav"
            noise = 0.01 * np.random.default_rng(take).standard_normal(24_000)
            audio = tone(200 * 1.4**index * (1 + 0.01 * take), 0.5).numpy() + noise
            soundfile.write(folder / file, audio, 48_000)
            label = {"label": LABELS[index]} if index < OTHER else {}
            split = "validation" if take > 1 else "train"
            row = {
                "file": file,
                "captions": ["a tone"],
                "seconds": 0.5,
                "catid": "BEEP",
                "split": split,
                "group": file,
                **label,
            }
            rows.append(json.dumps(row))
    storm = {
        "catid": "STORM",
        "file": "missing.wav",
        "captions": ["a storm"],
        "seconds": 1.0,
        "split": "train",
    }
    rows.append(json.dumps(storm))
    (folder / "manifest.jsonl").write_text("\n".join(rows))
    return folder


OVERRIDES = ("members=1", "widths=[4, 6, 8, 8]", "embedding_width=16", "seconds=0.5", "batch_size=8",
             "warmup_steps=1", "precision='no'", "log_every=1")  # fmt: skip


def test_configuration_fits() -> None:
    recipe = script("training", "train_classifier")
    config = load_config(recipe.Config, ROOT / "configs/classifier.yaml")
    assert len(dataclasses.fields(config)) == 19
    with pytest.raises(ValueError, match="unknown keys"):
        load_config(recipe.Config, ROOT / "configs/classifier.yaml", ["colour=1"])


def test_recipe_is_reproducible_and_its_model_loads(data: Path, tmp_path: Path) -> None:
    recipe = script("training", "train_classifier")
    saved = []
    for name in ("first", "second"):
        places = (f"data={data}", f"output={tmp_path / name}", "steps=2")
        overrides = (*OVERRIDES, *places)
        recipe.main(load_config(recipe.Config, ROOT / "configs/classifier.yaml", overrides))
        saved.append(SoundClassifier.from_pretrained(tmp_path / name))
        log = [json.loads(line) for line in (tmp_path / name / "log.jsonl").open()]
        assert [row["step"] for row in log] == [1, 2]
        assert all(math.isfinite(row["loss"]) for row in log)
    states = [model.state_dict() for model in saved]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    stored = load_file(tmp_path / "first/diffusion_pytorch_model.safetensors")
    assert all(value.dtype in (torch.float16, torch.int64) for value in stored.values())


def test_training_step_overfits_one_batch(model: SoundClassifier) -> None:
    recipe = script("training", "train_classifier")
    batch = recipe.SpectrumBatch(
        spectra(8, 64), functional.one_hot(torch.arange(8), OTHER + 1).float()
    )
    optimiser = torch.optim.AdamW(model.train().parameters(), lr=1e-2)
    losses = []
    for _ in range(80):
        loss, logs = recipe.training_step(model, batch, 0.0)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(logs["loss"].item())
    assert losses[-1] < 0.3 * losses[0]


def test_read_recordings(data: Path, model: SoundClassifier, tmp_path: Path) -> None:
    clips = read_recordings(data, model, 0.2, ("validation",))
    assert [clip.index for clip in clips[::2]] == list(range(OTHER + 1))
    assert all(clip.decibels.shape == (64, 11) for clip in clips)
    with pytest.raises(FileNotFoundError, match=r"manifest\.jsonl"):
        read_recordings(tmp_path / "none", model, 0.2, ("train",))


def test_evaluation_of_files_finds_copies_and_collapse(
    data: Path, model: SoundClassifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = script("benchmarks", "evaluate_generation")
    model.save_pretrained(tmp_path / "classifier")
    audio = tmp_path / "audio"
    audio.mkdir()
    copied, _ = soundfile.read(data / "0-0.wav")
    for seed in range(3):
        soundfile.write(audio / f"dog-bark__{seed}.wav", copied, 48_000)
        noise = 0.1 * np.random.default_rng(seed).standard_normal(24_000 * (seed + 1))
        soundfile.write(audio / f"rain__{seed}.wav", noise, 48_000)
    evaluation.main(
        ["--classifier", str(tmp_path / "classifier"), "--audio", str(audio), "--data", str(data),
         "--json", str(tmp_path / "result.json")]
    )  # fmt: skip
    result = json.loads((tmp_path / "result.json").read_text())["clips"]
    assert set(result) == {"dog bark", "rain"}
    for measure in ("learnt", "plain"):
        assert result["dog bark"][measure]["copied"] == 1
        assert result["dog bark"][measure]["spread"] < 0.01
    assert result["rain"]["plain"]["copied"] == 0
    printed = capsys.readouterr().out
    assert "collapsed (log-mel), copies (log-mel)" in printed
    soundfile.write(audio / "violin__0.wav", copied, 48_000)
    with pytest.raises(ValueError, match=r"violin__0\.wav"):
        evaluation.main(["--classifier", str(tmp_path / "classifier"), "--audio", str(audio)])


def test_generated_clips_are_saved_and_judged_again_alike(
    data: Path, model: SoundClassifier, tmp_path: Path
) -> None:
    evaluation = script("benchmarks", "evaluate_generation")
    model.save_pretrained(tmp_path / "classifier")
    save_pipeline(tmp_path / "toy")
    results = []
    common = ["--classifier", str(tmp_path / "classifier"), "--data", str(data)]
    generation = ["--model", str(tmp_path / "toy"), "--save", str(tmp_path / "clips"),
                  "--clips", "2", "--seconds", "0.5", "--steps", "1"]  # fmt: skip
    for name, source in (("a", generation), ("b", ["--audio", str(tmp_path / "clips")])):
        evaluation.main([*common, *source, "--json", str(tmp_path / f"{name}.json")])
        results.append(json.loads((tmp_path / f"{name}.json").read_text())["clips"])
    assert len(list((tmp_path / "clips").iterdir())) == 2 * OTHER
    assert set(results[0]) == set(LABELS)
    for label, first in results[0].items():
        assert first["taken_for"] == results[1][label]["taken_for"]
        assert first["plain"]["spread"] == pytest.approx(
            results[1][label]["plain"]["spread"], rel=1e-2
        )


def test_windows_keep_the_audible_parts_and_normalise_them() -> None:
    evaluation = script("benchmarks", "evaluate_generation")
    decibels = torch.full((64, 300), FLOOR)
    decibels[:, :100], decibels[:, 250:] = -20.0, 0.0
    parts = evaluation.windows(decibels, 100)
    assert [part.shape[1] for part in parts] == [100, 100]
    assert all(part.amax() == 0 for part in parts)


class Identity:
    """An autoencoder that changes nothing but the level."""

    hop_length, n_fft = 480, 960

    def encode(self, audio: torch.Tensor) -> torch.Tensor:
        return audio

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return 0.1 * latents


@pytest.mark.parametrize("samples", [10, 481, 4801])
def test_autoencoder_evaluation_measures_a_known_change(samples: int) -> None:
    evaluation = script("benchmarks", "evaluate_autoencoder")
    noise = torch.randn(samples, generator=generator())
    mel, stft, ratio = evaluation.measure(Identity(), noise)
    if samples > 480:  # zeros, on which nothing changes, fill up shorter clips
        assert mel == pytest.approx(1, abs=0.02) and stft == pytest.approx(1, abs=0.02)
    assert ratio == 100
    assert math.isnan(evaluation.measure(Identity(), torch.zeros(samples))[2])


def test_autoencoder_evaluation_runs(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from woosh.autoencoder import WooshAutoencoder

    evaluation = script("benchmarks", "evaluate_autoencoder")
    toy = WooshAutoencoder(
        latent_channels=4, width=8, inner_width=8, encoder_layers=1, decoder_layers=1
    )
    toy.save_pretrained(tmp_path / "toy")
    soundfile.write(data / "silence.wav", np.zeros(2000), 48_000)
    with (data / "manifest.jsonl").open("a") as manifest:
        manifest.write(
            "\n"
            + json.dumps(
                {
                    "file": "silence.wav",
                    "captions": ["silence"],
                    "seconds": 0.04,
                    "split": "validation",
                }
            )
        )
    evaluation.main(
        ["--model", str(tmp_path / "toy"), "--data", str(data), "--json", str(tmp_path / "a.json")]
    )
    result = json.loads((tmp_path / "a.json").read_text())
    assert len(result["clips"]) == result["summary"]["all"]["clips"] == 2 * OTHER + 3
    assert result["summary"]["all"]["silent"] == 1
    assert math.isfinite(result["summary"]["all"]["SI-SDR"])
    assert "| all | 23 |" in capsys.readouterr().out
