"""Model folders in every form load by each way, and make the sound of the network that they hold."""

import copy
import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.kept_forms import FORMS, save_forms
from tests.toys import make_mel_autoencoder
from woosh import catalogue, cli
from woosh.audio import read_audio, write_audio
from woosh.catalogue import describe_model
from woosh.generation.loading import load_model, load_sampler, quickest_precision, settings_of
from woosh.generation.pipeline import WooshPipeline
from woosh.generation.request import Request
from woosh.generation.transformer import WooshTransformer
from woosh.weight_files import save_compact

# How far latents are from those of the network itself, in its own norm.
PRECISION = {"whole": 1e-5, "eight": 0.05, "changed": 2e-3, "further": 2e-3}
REQUEST = Request("rain", seconds=0.3, steps=2, seed=0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, WooshTransformer]]:
    models = tmp_path_factory.mktemp("models")
    return models, save_forms(models)


@pytest.fixture(autouse=True)
def models(
    saved: tuple[Path, dict[str, WooshTransformer]], monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setattr(catalogue, "BUILT_IN", saved[0])
    return saved[0]


@pytest.mark.parametrize("form", FORMS)
def test_the_sound_is_that_of_the_network(
    form: str, models: Path, saved: tuple[Path, dict[str, WooshTransformer]]
) -> None:
    sampler = load_sampler(models / form)
    latents = sampler.latents(REQUEST)
    itself = dataclasses.replace(sampler, transformer=saved[1][form]).latents(REQUEST)
    assert (latents - itself).norm() < PRECISION[form] * itself.norm()
    assert sampler.few_step == (form in ("changed", "further"))


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_a_pipeline_makes_the_same_sound(form: str, by_name: bool, models: Path) -> None:
    source = form if by_name else models / form
    pipeline = WooshPipeline.from_pretrained(source, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    made = pipeline("rain", seconds=0.3, num_inference_steps=2, generator=generator).audios
    assert np.array_equal(made, load_sampler(models / form)(REQUEST).numpy())
    assert np.abs(made).max() > 0


PARTS = ("autoencoder", "transformer", "text_encoder")


@pytest.mark.parametrize("form", FORMS)
def test_a_pipeline_has_one_precision_and_takes_given_parts(form: str, models: Path) -> None:
    for dtype in (None, torch.bfloat16):
        options = {} if dtype is None else {"dtype": dtype}
        pipeline = WooshPipeline.from_pretrained(models / form, **options)
        kinds = {getattr(pipeline, part).dtype for part in PARTS}
        assert kinds == {dtype or torch.float32}
    given = load_sampler(models / form).transformer
    again = WooshPipeline.from_pretrained(models / form, transformer=given)
    assert again.transformer is given


def test_a_mel_autoencoder_in_eight_bits_plays_in_a_pipeline(models: Path, tmp_path: Path) -> None:
    pipeline = WooshPipeline.from_pretrained(models / "whole")
    pipeline.register_modules(autoencoder=make_mel_autoencoder(32))
    model = tmp_path / "model"
    pipeline.save_pretrained(model)
    shutil.rmtree(model / "autoencoder")
    save_compact(pipeline.autoencoder, model / "autoencoder")
    pipeline = WooshPipeline.from_pretrained(model)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    made = pipeline("rain", seconds=0.3, num_inference_steps=2, generator=generator).audios
    assert np.array_equal(made, load_sampler(model)(REQUEST).numpy()) and np.abs(made).max() > 0
    sound, out = tmp_path / "rain.wav", tmp_path / "again.wav"
    write_audio(sound, made[0])
    arguments = (str(sound), str(out), "--model", str(model), "--device", "cpu")
    assert cli.main(["reconstruct", *arguments]) == 0
    assert read_audio(out).shape == (1, 14_400)


@pytest.mark.parametrize("form", ["eight", "further"])
def test_a_pipeline_is_saved_whole(form: str, models: Path, tmp_path: Path) -> None:
    pipeline = WooshPipeline.from_pretrained(models / form, dtype=torch.float32)
    pipeline.save_pretrained(tmp_path / "copy")
    again = WooshPipeline.from_pretrained(tmp_path / "copy", dtype=torch.float32)
    for part in ("transformer", "autoencoder"):
        first, second = (getattr(one, part).state_dict() for one in (pipeline, again))
        assert first.keys() == second.keys()
        assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("form", FORMS)
def test_a_model_is_described_checked_and_loaded_as_commands_do(form: str, models: Path) -> None:
    info = describe_model(models / form)
    REQUEST.check(info)
    sound = load_model(info, "cpu", "auto")(REQUEST)
    assert torch.equal(sound, load_sampler(models / form)(REQUEST))


def test_a_tokenizer_with_more_entries_than_the_text_encoder_takes(models: Path) -> None:
    """An entry beyond its table ended in a traceback, and only for the prompts that used it."""
    sampler = load_sampler(models / "whole")
    tokenizer = copy.deepcopy(sampler.tokenizer)
    tokenizer.add_tokens([f"word{number}" for number in range(100)])
    with pytest.raises(ValueError, match="the tokenizer has .* entries, but the text conditioner"):
        dataclasses.replace(sampler, tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("default_steps", 0),
        ("default_guidance_scale", 1e6),
        ("default_guidance_scale", -1.0),
        ("latent_doubt", 1e12),
        ("latent_doubt", -0.1),
        ("time_shift", 0.0),
    ],
)
def test_settings_of_sampling_out_of_their_range_are_refused(name: str, value: float) -> None:
    """They stand in files of others, and made sounds that are not finite, for which nothing was named."""
    with pytest.raises(ValueError, match=rf"^model_index\.json: {name} is {value}; it must be"):
        settings_of({name: value}, "model_index.json")


@pytest.mark.parametrize(
    ("device", "parameters", "bfloat16", "precision"),
    [
        ("cuda", 1_000_000, False, torch.bfloat16),
        ("cpu", 28_000_000, True, torch.float32),
        ("cpu", 500_000_000, True, torch.bfloat16),
        ("cpu", 500_000_000, False, torch.float32),
        ("mps", 500_000_000, True, torch.float32),
    ],
)
def test_precision_is_chosen_by_device_and_size(
    device: str, parameters: int, bfloat16: bool, precision: torch.dtype
) -> None:
    """Small models give the same sounds on processors with and without bfloat16."""
    assert quickest_precision(device, parameters, bfloat16) is precision
