"""Guidance with words and video: each scale leads where its equation says, and windows see their part of the video.

Windows cover everything, their shares add up, and what is linear is blended exactly.
"""

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.toys import CHANNELS, make_pipeline, make_transformer, randomise
from woosh.generation.guidance import (
    ALIGNMENT,
    Guidance,
    Window,
    blended,
    shares_around,
    shares_of,
    video_of,
    video_tokens,
    windows_around,
    windows_of,
)
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.generation.solvers import multistep, uniform_times

VIDEO = 6  # channels of the features


def make_sampler(flow_map: bool = False, max_frames: int = 501) -> Sampler:
    """A toy that sees."""
    sampler = make_pipeline(flow_map).sampler
    network = make_transformer(flow_map, max_frames, video_channels=VIDEO)
    return dataclasses.replace(sampler, transformer=randomise(network, 2))


def features(count: int = 24, seed: int = 0) -> Tensor:
    return torch.randn(count, VIDEO, generator=torch.Generator().manual_seed(seed))


def made(sampler: Sampler, **options: Any) -> Tensor:
    """Latents of one second in two steps."""
    return sampler.latents(Request("a dog", **{"seconds": 1.0, "steps": 2, "seed": 0} | options))


@pytest.mark.parametrize("flow_map", [False, True])
def test_video_is_heard_and_its_absence_is_null(flow_map: bool) -> None:
    sampler = make_sampler(flow_map)
    seen, other = made(sampler, video=features()), made(sampler, video=features(seed=1))
    assert not torch.allclose(seen, other, atol=1e-3)
    assert torch.equal(seen, made(sampler, video=features()))
    # Without video there is one null token, with a black one as many as frames: both are allowed.
    assert made(sampler).isfinite().all()


@pytest.mark.parametrize("video_scale", [None, 0.0, 1.0, 2.5])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_scales_are_those_of_the_equations(scale: float, video_scale: float | None) -> None:
    sampler, video = make_sampler(), features()
    network = sampler.transformer
    text, empty = (sampler.embed_text([words]) for words in ("a dog", "noise"))
    nothing = torch.zeros(1, len(video), VIDEO)
    both = network.prepare(*text, video[None])
    seen, neither = network.prepare(*empty, video[None]), network.prepare(*empty, nothing)

    @torch.no_grad()
    def velocity(x: Tensor, time: Tensor) -> Tensor:
        v, s, n = (network(x, time, condition) for condition in (both, seen, neither))
        if video_scale is None:
            return n + scale * (v - n)
        return n + video_scale * (s - n) + scale * (v - s)

    noise = torch.randn(1, CHANNELS, 101, generator=torch.Generator().manual_seed(0))
    expected = multistep(velocity, noise, uniform_times(2))
    found = made(
        sampler,
        video=video,
        guidance_scale=scale,
        video_guidance_scale=video_scale,
        negative_prompt="noise",
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_branches() -> None:
    assert len(Guidance(1.0).branches) == 1
    assert len(Guidance(4.0).branches) == 2
    assert len(Guidance(4.0, 2.0).branches) == 3


def test_windows_see_their_part_of_the_video() -> None:
    video = torch.arange(240.0)[None, :, None]
    assert video_tokens(801, 100.0) == 192
    assert video_tokens(501, 100.0) == 120
    assert video_tokens(2, 100.0) == 1
    assert video_tokens(126, 25.0) == 120
    part = video_of(video, Window(750, 1751), 100.0)
    assert part.shape == (1, 240, 1)
    assert part[0, :60, 0].tolist() == list(range(180, 240))
    assert not part[0, 60:].any()


def test_long_videos_are_made_in_windows() -> None:
    sampler, video = make_sampler(max_frames=120), features(72)
    whole = made(sampler, video=video, seconds=3.0)
    assert whole.shape == (1, CHANNELS, 301)
    changed = video.clone()
    changed[60:] = 0
    difference = (made(sampler, video=changed, seconds=3.0) - whole).abs().amax(dim=1)[0]
    # Features from 2.5 s on are in the windows from 1.5 s on, and the second step passes on what these share with others.
    assert not difference[:75].any()
    assert difference[250:].gt(0).any()


def test_the_pipeline_passes_the_video_on() -> None:
    pipeline = make_pipeline()
    sampler = make_sampler()
    pipeline.register_modules(transformer=sampler.transformer)
    options = {"seconds": 1.0, "num_inference_steps": 2, "video": features()}
    found = pipeline(
        "a dog",
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
        video_guidance_scale=2.0,
        **options,  # type: ignore[arg-type]
    ).audios
    expected = made(sampler, video_guidance_scale=2.0, video=features())
    torch.testing.assert_close(torch.as_tensor(found), expected)


def test_bad_requests() -> None:
    sampler = make_sampler()
    for options, message in (
        ({"video": features()[:, :3]}, r"features \(K, 6\), not \(24, 3\)"),
        ({"video": features()[:0]}, r"features \(K, 6\)"),
        ({"video_guidance_scale": 2.0}, "needs a video"),
        ({"video": features(), "video_guidance_scale": -1.0}, "must be from 0 to 1000"),
    ):
        with pytest.raises(ValueError, match=message):
            made(sampler, **options)
    with pytest.raises(ValueError, match="one guidance"):
        made(make_sampler(True), video=features(), video_guidance_scale=2.0)
    with pytest.raises(ValueError, match="from words alone"):
        made(make_pipeline().sampler, video=features())


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
    with pytest.raises(ValueError, match="makes 20 latent frames in one piece"):
        windows_of(100, 20)


@given(frames=st.integers(2, 700), longest=st.integers(2, 251))
def test_windows_around_a_circle_cover_it_twice(frames: int, longest: int) -> None:
    """Shares add up to 1 at every frame, and no frame is at the end of all of its windows."""
    windows = windows_around(frames, longest)
    total = torch.zeros(frames)
    for window, share in zip(windows, shares_around(windows, frames), strict=True):
        assert window.end - window.start == min(frames, longest)
        total[torch.arange(window.start, window.end) % frames] += share
    torch.testing.assert_close(total, torch.ones(frames))
    constant = torch.randn(1, 2, frames, generator=torch.Generator().manual_seed(0))
    blend = blended(lambda part, _window: part, constant, windows)
    torch.testing.assert_close(blend, constant)
