"""Freq-MixStyle and device responses: the reference's results, what they leave alone, and how often they act."""

import numpy as np
import pytest
import torch

from tests.official import assert_parity
from tests.taggers.fixtures import load_fixture
from woosh.training.styles import draw_styles, freq_mixstyle
from woosh.training.taggers.augmentation import convolved, through_devices


def test_freq_mixstyle_and_its_gradient_are_the_reference_s() -> None:
    fixture = load_fixture("freq_mixstyle")
    x = fixture.io["x"].clone().requires_grad_(True)
    made = freq_mixstyle(x, fixture.io["lam"], torch.tensor(fixture.config["permutation"]))
    assert_parity(made, fixture.io["y"])
    (made * fixture.io["x"]).sum().backward()
    assert x.grad is not None
    assert_parity(x.grad, fixture.io["gradient"])


def test_a_share_of_one_changes_nothing_and_of_zero_takes_the_partner_s_statistics() -> None:
    x = torch.randn(3, 2, 5, 40) * torch.arange(1, 4).reshape(3, 1, 1, 1)
    partner = torch.tensor([1, 2, 0])
    torch.testing.assert_close(freq_mixstyle(x, torch.ones(3), partner), x, atol=1e-5, rtol=1e-5)
    made = freq_mixstyle(x, torch.zeros(3), partner)
    for ours, theirs in zip(
        torch.var_mean(made, dim=(1, 3)), torch.var_mean(x[partner], dim=(1, 3)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_no_gradient_flows_through_the_statistics() -> None:
    """So that a constant added to a bin keeps its gradient, which normalisation would take away."""
    x = torch.randn(2, 1, 3, 10, requires_grad=True)
    freq_mixstyle(x, torch.ones(2), torch.tensor([1, 0])).sum().backward()
    torch.testing.assert_close(x.grad, torch.ones_like(x))


def test_batches_are_mixed_so_often() -> None:
    generator = np.random.default_rng(0)
    drawn = [draw_styles(4, 0.4, 0.3, generator) for _ in range(1000)]
    styles = [one for one in drawn if one is not None]
    assert abs(len(styles) - 400) < 3 * np.sqrt(1000 * 0.4 * 0.6)
    shares = torch.stack([one.share for one in styles])
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(shares.var()) == pytest.approx(0.25 / 1.6, rel=0.1)  # of Beta(.3, .3)
    assert all(sorted(one.partner.tolist()) == [0, 1, 2, 3] for one in styles)


def test_a_device_s_response_is_convolved_and_cut_as_the_reference_does() -> None:
    io = load_fixture("dir_convolution").io
    response = io["response"][0].numpy()
    sounds = [io["x"][0].numpy()] * 2
    main, other = through_devices(sounds, (True, False), [response], 1, np.random.default_rng(0))
    assert_parity(torch.from_numpy(main), io["device_a"][0])
    assert np.array_equal(other, io["device_b"][0].numpy())


def test_a_unit_impulse_changes_nothing_and_lengths_stay() -> None:
    audio = np.random.default_rng(0).standard_normal(50).astype(np.float32)
    np.testing.assert_allclose(convolved(audio, np.eye(1, 7)[0]), audio, atol=1e-6)
    late = convolved(audio, np.eye(1, 80, 60)[0])
    assert late.shape == audio.shape and not late.round(5).any()
    assert late.dtype == audio.dtype


def test_sounds_of_the_main_device_go_through_responses_so_often() -> None:
    generator, sounds = np.random.default_rng(0), [np.ones(3)] * 1000
    made = through_devices(sounds, [True] * 1000, [np.array([0.5])], 0.6, generator)
    changed = sum(float(audio[0]) != 1 for audio in made)
    assert abs(changed - 600) < 3 * np.sqrt(1000 * 0.6 * 0.4)
    with pytest.raises(ValueError, match="no impulse responses"):
        through_devices(sounds, [True] * 1000, [], 0.6, generator)
