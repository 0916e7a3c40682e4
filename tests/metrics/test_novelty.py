"""The novelty curve is Foote's, and peaks where a sound changes."""

import math

import pytest
import torch
from torch.nn import functional

from woosh.metrics import novelty as module
from woosh.metrics.novelty import novelty, novelty_peaks

RATE = 16_000


def test_a_change_of_pitch_is_the_highest_peak() -> None:
    time = torch.arange(4 * RATE) / RATE
    tone = torch.where(time < 1.5, 300.0, 2000.0)
    curve = novelty(torch.sin(2 * math.pi * tone * time), RATE)
    assert float(curve.min()) >= 0 and float(curve.max()) <= 1
    assert int(curve.argmax()) * module.HOP_SECONDS == pytest.approx(1.5, abs=0.03)
    found = novelty_peaks(curve, 0.25)
    assert max(found, key=lambda peak: peak[1])[0] == pytest.approx(1.5, abs=0.03)


def test_the_curve_is_a_checkerboard_along_the_matrix_of_similarities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Written out over the whole matrix for the middle of a short noise."""
    frames = functional.normalize(
        torch.randn(8, 60, generator=torch.Generator().manual_seed(0)), dim=0
    )
    reach, place = 25, 30
    window = torch.exp(-2.0 * (torch.arange(reach) / reach) ** 2)
    window = window / window.sum()
    taper = torch.cat([window.flip(0), window])
    signs = torch.cat([-torch.ones(reach), torch.ones(reach)])
    near = frames[:, place - reach : place + reach]
    kernel = torch.outer(taper * signs, taper * signs)
    wanted = (kernel * (near.T @ near)).sum() / 4
    monkeypatch.setattr(module, "magnitudes", lambda *_: frames)
    monkeypatch.setattr(module, "mel_filters", lambda *_, **__: torch.eye(8))
    # What the function takes for magnitudes becomes frames again by these.
    monkeypatch.setattr(module.functional, "normalize", lambda *_, **__: frames)
    assert float(novelty(torch.zeros(10), RATE)[place]) == pytest.approx(float(wanted), rel=1e-4)


def test_of_near_peaks_the_largest_counts() -> None:
    curve = torch.zeros(100)
    curve[20], curve[25], curve[60] = 0.5, 0.7, 0.2
    found = novelty_peaks(curve, 0.25)
    assert [second for second, _ in found] == pytest.approx([0.5, 1.2])
