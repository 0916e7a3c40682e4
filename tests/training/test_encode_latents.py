"""The cache of latents: what the autoencoder says, varied as asked, weighed as heard."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.toys import (
    make_autoencoder,
)
from tests.training.toy_recipes import CONFIGS
from training import encode_latents
from woosh.autoencoder import WooshAutoencoder
from woosh.config import load_config
from woosh.latents import load_latents


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


def test_a_twin_without_a_family_is_refused(
    magnitude_run: Path, manifest: Path, tmp_path: Path
) -> None:
    config = dataclasses.replace(
        load_config(encode_latents.Config, CONFIGS / "latents_tiny.yaml"),
        output=str(tmp_path / "latents"),
        manifest=str(manifest),
        autoencoder=str(magnitude_run / "autoencoder"),
        procedural_clips=0,
        twins=("dog bark",),
    )
    with pytest.raises(ValueError, match="'dog bark' in twins is not of the form label=family"):
        encode_latents.main(config)


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
