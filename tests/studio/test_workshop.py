"""The workshop: takes that are watched while they are made, ended when asked to, finished, and what their files say."""

import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.toys import make_pipeline, save_pipeline
from tests.videos import steady_times, write_video
from woosh import audio
from woosh.catalogue import describe_model
from woosh.generation.request import Request
from woosh.studio.places import Region
from woosh.studio.shelf import Kept, Shelf
from woosh.studio.workshop import Change, Film, Model, Watch, Workshop
from woosh.video import open_video

RAIN = Request("rain", seconds=1.0, steps=2)
RECORDED = {"model", "version", "seed", "steps", "guidance", "seconds", "weights_licence"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Model]:
    """Toys of words and of pictures."""
    info = describe_model(save_pipeline(tmp_path_factory.mktemp("models") / "toy"))
    seeing = make_pipeline(max_frames=100, video_channels=8).sampler
    return Model(make_pipeline().sampler, info), Model(seeing, info)


@pytest.fixture
def workshop(models: tuple[Model, Model], tmp_path: Path) -> Workshop:
    (tmp_path / "shelf").mkdir()
    return Workshop(*models, Shelf(tmp_path / "shelf", 3600))


def unwatched() -> Watch:
    return Watch(lambda _number, _share: None, threading.Event())


def rain(workshop: Workshop, seed: int = 5) -> Kept:
    (kept,) = workshop.work(workshop.takes(RAIN, [seed], loop=False), unwatched())
    return kept


def test_takes_are_finished_and_say_how_they_were_made(workshop: Workshop) -> None:
    """A seed repeats; what the request leaves to the model is in the record as well."""
    first, second, again = (rain(workshop, seed) for seed in (5, 6, 5))
    assert first.path.read_bytes() == again.path.read_bytes() != second.path.read_bytes()
    sound = audio.read_audio(first.path)
    assert audio.levelling_loudness(sound) == pytest.approx(-23, abs=0.5)
    record = audio.read_metadata(first.path)
    assert record.keys() >= RECORDED
    assert (record["prompt"], record["seed"], record["steps"]) == ("rain", 5, 2)
    assert (first.prompt, first.seed, first.told[:12]) == ("rain", 5, "rain, seed 5")


def test_of_a_long_prompt_the_beginning_is_told(workshop: Workshop) -> None:
    """In a list of takes the seed is to be seen; the file has the whole prompt."""
    prompt = "a heavy wooden door creaks open slowly, then slams shut in a large hall"
    request = replace(RAIN, prompt=prompt)
    (kept,) = workshop.work(workshop.takes(request, [5], loop=False), unwatched())
    assert kept.told.startswith("a heavy wooden door creaks open slowly, then ..., seed 5")
    assert audio.read_metadata(kept.path)["prompt"] == prompt


def test_a_loop_says_that_it_is_one(workshop: Workshop) -> None:
    (kept,) = workshop.work(workshop.takes(RAIN, [5], loop=True), unwatched())
    assert audio.read_audio(kept.path).shape == (1, 48_000)
    assert b"smpl" in kept.path.read_bytes()
    record = audio.read_metadata(kept.path)
    assert record["operations"] == "loop" and record.keys() >= RECORDED


@pytest.mark.parametrize("operation", ["edit", "vary", "extend"])
def test_a_change_keeps_what_was_known_and_says_what_is_new(
    workshop: Workshop, operation: str
) -> None:
    first = rain(workshop)
    change = Change(operation, "hail", Region(0.3, 0.6), seconds=1.5)
    (kept,) = workshop.work(workshop.changes(first, change, [9]), unwatched())
    record = audio.read_metadata(kept.path)
    assert record.keys() >= RECORDED
    assert (record["prompt"], record["seed"], record["operations"]) == ("hail", 9, operation)
    assert record["steps"] == 3  # the toy's own
    assert not np.array_equal(audio.read_audio(kept.path), audio.read_audio(first.path))


def test_a_loop_of_a_sound_that_somebody_brought_is_not_called_generated(
    workshop: Workshop,
) -> None:
    """Its ends are only faded into each other."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 96_000)).astype(np.float32)
    own = workshop.shelf.keep(noise, 48_000, {}, "hiss, your sound")
    (kept,) = workshop.work(workshop.changes(own, Change("loop"), [1]), unwatched())
    record = audio.read_metadata(kept.path)
    assert record["operations"] == "loop" and not record.keys() & {"model", "seed", "prompt"}


def test_an_edit_keeps_the_level_and_the_length_of_what_it_keeps(workshop: Workshop) -> None:
    """Finishing the whole again would change a sound that somebody brought, outside of the part too."""
    noise = 0.01 * np.random.default_rng(0).standard_normal((1, 48_000)).astype(np.float32)
    noise[:, :12_000] = 0
    own = workshop.shelf.keep(noise, 48_000, {}, "hiss, your sound")
    change = Change("edit", "hail", Region(0.5, 0.7))
    first, second = workshop.work(workshop.changes(own, change, [1, 2]), unwatched())
    before, after = audio.read_audio(own.path), audio.read_audio(first.path)
    assert after.shape == before.shape
    assert np.abs(after - before)[:, :22_000].max() < 1e-4  # but for the noise of 16 bits
    assert first.told == "hail, part replaced, seed 1, 1.00 s" != second.told


def test_an_operation_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of edit, vary, extend, loop, not 'melt'"):
        Change("melt")


def test_films_get_their_sound_and_its_record(workshop: Workshop, tmp_path: Path) -> None:
    write_video(tmp_path / "silent.mp4", steady_times(Fraction(25), 1.0))
    film = Film(open_video(tmp_path / "silent.mp4"), ".mp4", None)
    request = Request("", seconds=1.0, video=torch.zeros(24, 8))
    first, second = workshop.work(workshop.films(film, request, [3, 4]), unwatched())
    assert [kept.path.name for kept in (first, second)] == ["silent-3.mp4", "silent-4.mp4"]
    assert open_video(first.path).seconds == pytest.approx(1.0, abs=0.05)
    assert first.record.keys() >= RECORDED and first.record["video"] == "silent.mp4"
    assert second.told == "silent, seed 4"


def test_every_step_is_told_and_a_stop_ends_the_work(workshop: Workshop) -> None:
    """The sound in work is given up at its next step; none after it is begun."""
    told: list[tuple[int, float]] = []
    stop = threading.Event()

    def tell(number: int, share: float) -> None:
        told.append((number, share))
        if (number, share) == (1, 0.5):
            stop.set()

    made = list(workshop.work(workshop.takes(RAIN, [1, 2, 3], loop=False), Watch(tell, stop)))
    assert [kept.seed for kept in made] == [1]
    assert told == [(0, 0.0), (0, 0.5), (0, 1.0), (1, 0.0), (1, 0.5)]
    assert not list(workshop.work(workshop.takes(RAIN, [4], loop=False), Watch(tell, stop)))
