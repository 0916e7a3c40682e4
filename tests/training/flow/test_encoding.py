"""What becomes of recordings before and while they are encoded."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.toys import make_autoencoder
from woosh.data.clips import Clip
from woosh.training.flow import encoding as latent_encoding
from woosh.training.flow.encoding import Company, Variations, versions


def test_a_mix_keeps_length_and_lets_the_first_sound_lead() -> None:
    first, second = np.zeros(1000), np.zeros(700)
    first[::10], second[5::10] = 1.0, 1.0
    places = set()
    for seed in range(30):
        mix = latent_encoding.mixed(first, second, np.random.default_rng(seed))
        under = mix - first
        assert len(mix) == 1000 and np.square(under).sum() > 0
        peak = 20 * np.log10(under.max())
        assert -12 <= peak <= -3  # both have the same crest
        places.add(int(np.flatnonzero(under)[0]))
    assert len(places) > 5


VARIATIONS = Variations(
    speeds=(0.5,),
    colour_decibels=0.0,
    mixed_share=0.0,
    joined_share=0.0,
    response_share=0.0,
    polarity_share=0.0,
)


def varied(clip: Clip, companions: list[Clip], others: list[Clip], **changes: float) -> Clip:
    variations = dataclasses.replace(VARIATIONS, **changes)  # type: ignore[arg-type]
    company = Company(companions, others, [np.array([0.0, 1.0])])
    (version,) = versions(clip, company, variations, 1, 48_000)
    return version


def test_a_recording_is_not_mixed_with_itself() -> None:
    click, other = np.zeros(4800), np.full(4800, 0.1)  # heard wherever it is laid under the click
    click[2000] = 0.5
    first, second = Clip(click, ("click",), "first"), Clip(other, ("click",), "second")
    alone = varied(first, [first], [], mixed_share=1.0).audio
    unmixed = varied(first, [], [], mixed_share=1.0).audio
    with_other = varied(first, [first, second], [], mixed_share=1.0).audio
    assert np.array_equal(alone, unmixed) and not np.allclose(alone, with_other)


def test_other_variations_change_what_they_should() -> None:
    noise = np.random.default_rng(0).standard_normal(4800)
    clip = Clip(noise, ("a dog", "barking"), "first")
    other = Clip(np.ones(4800), ("rain", "drops", "wet"), "second")
    plain = varied(clip, [], [])
    assert len(plain.audio) == 9600 and plain.captions == clip.captions
    turned = varied(clip, [], [], polarity_share=1.0)
    assert np.allclose(turned.audio, -plain.audio)
    joined = varied(clip, [], [other], joined_share=1.0)
    assert joined.captions == ("a dog and rain", "barking and drops")
    assert len(joined.audio) == 9600 and joined.audio.mean() > plain.audio.mean() + 0.05
    late = varied(clip, [], [], response_share=1.0)  # one sample later, at the same level
    assert np.allclose(late.audio[1:], plain.audio[:-1], atol=1e-3)
    (itself,) = versions(
        dataclasses.replace(clip, name="procedural/1"), Company(), VARIATIONS, 1, 48_000
    )
    assert itself.audio is noise


def test_what_still_sounds_at_its_end_is_continuous_and_loses_the_silence_after_it() -> None:
    rate = 8_000
    noise = np.random.default_rng(0).normal(0.0, 0.1, 5 * rate)
    silence = np.zeros(2 * rate)
    fading = noise * np.exp(-np.arange(5 * rate) / rate)
    steady = latent_encoding.continuous_part(np.concatenate([noise, silence]), rate)
    assert steady is not None and abs(len(steady) / rate - 5) <= 0.05
    for event in (fading, noise[: 2 * rate], np.concatenate([noise[:rate], silence, silence])):
        assert latent_encoding.continuous_part(event, rate) is None


def test_a_long_recording_is_cut_into_pieces_and_silent_or_tiny_ones_are_left_out() -> None:
    rate = 8_000
    noise = np.random.default_rng(0).normal(0.0, 0.1, 14 * rate)
    noise[5 * rate : 10 * rate] = 0.0
    clip = Clip(noise, ("rain",), "rain.wav", "rain", "rain")
    pieces = list(latent_encoding.pieces_of(clip, 5.0, rate))
    assert [(len(piece.audio) / rate, steady) for piece, steady in pieces] == [(5, True), (4, True)]
    assert np.array_equal(pieces[1][0].audio, noise[10 * rate :])
    (short,) = latent_encoding.pieces_of(dataclasses.replace(clip, audio=noise[:400]), 5.0, rate)
    assert len(short[0].audio) == 400 and not short[1]
    shorter = dataclasses.replace(clip, audio=noise[: 12 * rate])
    assert [
        piece.audio.size / rate for piece, _ in latent_encoding.pieces_of(shorter, 5.0, rate)
    ] == [5]


def test_the_weight_of_a_channel_is_what_the_ear_notices_of_it() -> None:
    model = make_autoencoder().eval()
    with torch.no_grad():
        model.decoder.backbone.embed.weight[:, 2] = 0.0  # the decoder is deaf to this channel
        model.decoder.backbone.embed.weight[:, 5] *= 20.0
    latents = torch.randn(8, 60, generator=torch.Generator().manual_seed(0))
    measured = [
        latent_encoding.channel_weight(model, [latents], torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(measured[0], measured[1]) and not torch.equal(measured[0], measured[2])
    assert measured[0][2] == 0 and measured[0].argmax() == 5
    with pytest.raises(ValueError, match="no clip of 10 latent frames"):
        latent_encoding.channel_weight(model, [], torch.Generator())
