"""Windows: they cover everything, their shares add up, and what is linear is blended exactly."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from woosh.generation.windows import ALIGNMENT, Window, blended, shares_of, windows_of


@given(frames=st.integers(1, 30_000), longest=st.integers(100, 1_100))
def test_windows_cover_all_and_their_shares_add_up(frames: int, longest: int) -> None:
    windows = windows_of(frames, longest)
    assert windows[0].start == 0
    assert windows[-1].end == frames
    total = torch.zeros(frames)
    for window, share in zip(windows, shares_of(windows), strict=True):
        assert window.start % ALIGNMENT == 0
        assert 0 < window.end - window.start <= longest
        assert bool((share >= 0).all())
        total[window.start : window.end] += share
    torch.testing.assert_close(total, torch.ones(frames))
    for first, second in zip(windows, windows[1:], strict=False):
        assert first.end - second.start >= 0.25 * longest
        assert second.start > first.start


@given(frames=st.integers(1, 3_000))
def test_no_frame_lies_in_more_than_two_windows(frames: int) -> None:
    windows = windows_of(frames, 300)
    for first, third in zip(windows, windows[2:], strict=False):
        assert first.end <= third.start


def test_what_looks_at_single_frames_is_not_changed() -> None:
    latents = torch.randn(2, 3, 950, generator=torch.Generator().manual_seed(0))
    seen: list[Window] = []

    def evaluate(part: Tensor, window: Window) -> Tensor:
        seen.append(window)
        assert torch.equal(part, latents[..., window.start : window.end])
        return part * 2

    torch.testing.assert_close(blended(evaluate, latents, windows_of(950, 400)), latents * 2)
    assert len(seen) == 3
    short = latents[..., :400]
    assert torch.equal(blended(evaluate, short, windows_of(400, 400)), short * 2)


def test_windows_too_short_to_align_are_refused() -> None:
    with pytest.raises(ValueError, match="windows of 20 frames are too short"):
        windows_of(100, 20)
