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
from woosh.datasets import Clip
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
        data=str(manifest),
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


def test_a_recording_is_not_mixed_with_itself() -> None:
    config = dataclasses.replace(
        load_config(encode_latents.Config, CONFIGS / "latents_tiny.yaml"),
        mixed_share=1.0,
        colour_decibels=0.0,
        speeds=(0.5,),
    )
    click, other = np.zeros(4800), np.full(4800, 0.1)  # heard wherever it is laid under the click
    click[2000] = 0.5
    first, second = Clip(click, ("click",), "first"), Clip(other, ("click",), "second")
    (alone,) = encode_latents.versions(first, [first], config, 48_000)
    (unmixed,) = encode_latents.versions(first, [], config, 48_000)
    (with_other,) = encode_latents.versions(first, [first, second], config, 48_000)
    assert np.array_equal(alone, unmixed) and not np.allclose(alone, with_other)


def test_what_still_sounds_at_its_end_is_continuous_and_loses_the_silence_after_it() -> None:
    rate = 8_000
    noise = np.random.default_rng(0).normal(0.0, 0.1, 5 * rate)
    silence = np.zeros(2 * rate)
    fading = noise * np.exp(-np.arange(5 * rate) / rate)
    steady = encode_latents.continuous_part(np.concatenate([noise, silence]), rate)
    assert steady is not None and abs(len(steady) / rate - 5) <= 0.05
    for event in (fading, noise[: 2 * rate], np.concatenate([noise[:rate], silence, silence])):
        assert encode_latents.continuous_part(event, rate) is None


def test_a_long_recording_is_cut_into_pieces_and_silent_or_tiny_ones_are_left_out() -> None:
    rate = 8_000
    noise = np.random.default_rng(0).normal(0.0, 0.1, 14 * rate)
    noise[5 * rate : 10 * rate] = 0.0
    clip = Clip(noise, ("rain",), "rain.wav", "rain", "rain")
    pieces = list(encode_latents.pieces_of(clip, 5.0, rate))
    assert [(len(piece.audio) / rate, steady) for piece, steady in pieces] == [(5, True), (4, True)]
    assert np.array_equal(pieces[1][0].audio, noise[10 * rate :])
    (short,) = encode_latents.pieces_of(dataclasses.replace(clip, audio=noise[:400]), 5.0, rate)
    assert len(short[0].audio) == 400 and not short[1]
    shorter = dataclasses.replace(clip, audio=noise[: 12 * rate])
    assert [
        piece.audio.size / rate for piece, _ in encode_latents.pieces_of(shorter, 5.0, rate)
    ] == [5]


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
