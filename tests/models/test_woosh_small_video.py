"""The built-in video models themselves: what they see they make heard in time, at any length, and they fit the wheel.

The one of four steps stands for both where many sounds are judged; the other one dubs files.
"""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from benchmarks.evaluate_synchrony import Settings, maker, measure, render
from tests.commands.test_dub import sound_of
from tests.models.test_woosh_tiny import assert_no_seam, louder_between
from woosh import cli
from woosh.catalogue import BUILT_IN, DEFAULT_VIDEO_MODEL, describe_model
from woosh.generation.guidance import Window, windows_of
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.metrics.synchrony import alignment, onsets_of
from woosh.scenes import COURSE_FAMILIES, EVENT_FAMILIES, SceneClip, generate_scene
from woosh.video.watching import Watcher, load_watcher

FOLDER = BUILT_IN / DEFAULT_VIDEO_MODEL
FAST = BUILT_IN / "woosh-small-video-fast"
OWN = Settings(None, None, None, 5.0)  # the model's own steps and guidance


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return load_sampler(FAST, torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def watcher(sampler: Sampler) -> Watcher:
    info = describe_model(FAST)
    assert info.visual == FOLDER / "visual"
    return load_watcher(info.visual, channels=sampler.transformer.config.video_channels)


def test_it_adds_its_transformer_and_its_eyes_alone() -> None:
    info = describe_model(FOLDER)
    assert info.size <= 5_000_000 and not info.few_step and info.parts_of == "woosh-small"
    assert sorted(path.name for path in FOLDER.iterdir() if path.is_dir()) == [
        "transformer",
        "visual",
    ]
    assert info.longest == pytest.approx(10, abs=0.05) and info.licence == "cc-by-4.0"
    fast = describe_model(FAST)
    assert fast.size <= 2_500_000 and fast.few_step and fast.parts_of == DEFAULT_VIDEO_MODEL
    assert [path.name for path in FAST.iterdir() if path.is_dir()] == ["transformer"]
    assert fast.longest == info.longest and fast.video_channels == info.video_channels


@pytest.mark.slow
def test_events_are_heard_when_they_are_seen(sampler: Sampler, watcher: Watcher) -> None:
    events = render(EVENT_FAMILIES, 6, 0, OWN.seconds, watcher)
    courses = render(COURSE_FAMILIES, 9, 100, OWN.seconds, watcher)
    scores = measure(maker(sampler, OWN, False, "it"), events, courses, sampler.sample_rate)
    assert scores["f1"][1] >= 0.8  # within 50 ms
    assert scores["chance"] < 0.3
    assert scores["correlation"] >= 0.5  # .69 of 36 scenes
    swapped = measure(maker(sampler, OWN, False, "another"), events, (), sampler.sample_rate)
    assert abs(swapped["f1"][1] - swapped["chance"]) < 0.15  # of few scenes


def write_clip(path: Path, clip: SceneClip) -> Path:
    """A scene's pictures, without its sound."""
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=Fraction(24))
        stream.height, stream.width = clip.frames.shape[1:3]  # type: ignore[attr-defined]
        stream.pix_fmt = "yuv420p"  # type: ignore[attr-defined]
        for picture in clip.frames:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            target.mux(stream.encode(frame))  # type: ignore[attr-defined]
        target.mux(stream.encode(None))  # type: ignore[attr-defined]
    return path


@pytest.mark.slow
def test_a_silent_file_gets_a_sound_in_time(tmp_path: Path) -> None:
    clips = [generate_scene(960_000_000 + n, EVENT_FAMILIES[n], 6.0, size=256) for n in range(2)]
    pairs = []
    for number, clip in enumerate(clips):
        silent = write_clip(tmp_path / f"{number}.mp4", clip)
        out = tmp_path / f"{number}-dubbed.mp4"
        assert cli.main(["dub", str(silent), "-o", str(out), "--seed", str(number)]) == 0
        sound = sound_of(out)
        assert abs(sound.shape[1] / 48_000 - 6.0) < 1 / 24
        pairs.append((list(clip.events), onsets_of(torch.from_numpy(sound), 48_000)))
    assert alignment(pairs)[1].f1 >= 0.75


@pytest.mark.slow
def test_words_alone_make_what_they_say(sampler: Sampler) -> None:
    audio = sampler(Request("rain falling", seconds=5, seed=3))
    assert audio.shape == (1, 1, 240_000)
    assert audio.isfinite().all() and 0.01 < audio.abs().max() <= 1


@pytest.mark.slow
def test_the_sound_of_a_long_film_has_no_seam(sampler: Sampler, watcher: Watcher) -> None:
    """In four steps, which leave neighbouring windows little time to agree."""
    ratios: list[float] = []
    louder: list[float] = []  # than the scene's own sound where two windows are, in decibels
    for number, family in enumerate(("flames", "rain", "flames", "rain")):
        clip = generate_scene(970_000_000 + number, family, 40.0, watcher.frame_size)
        frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2)
        seen = watcher.watch([frames])
        request = Request("", seconds=40.0, video=seen, seed=10 + number)
        audio = sampler(request)[0, 0]
        # In hundredths of a second, which the test of seams counts in.
        laid = windows_of(1_001, sampler.window_frames)
        windows = [Window(4 * window.start, 4 * window.end) for window in laid]
        steps, difference = assert_no_seam(audio, windows)
        ratios += steps
        own = louder_between(torch.from_numpy(clip.audio).flatten()[: len(audio)], windows)
        louder.append(difference - own)
    assert np.mean(ratios) <= 1.15
    # The model swings more than the scene does: in its quieter parts, many of which lie there, it is 5 dB quieter.
    assert abs(np.mean(louder)) < 4
