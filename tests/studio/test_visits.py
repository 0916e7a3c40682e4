"""What visitors ask for: fields become requests, what is wrong is told, and each visitor's work is their own."""

from fractions import Fraction
from pathlib import Path

import pytest

from tests.sounds import sound
from tests.toys import make_pipeline, save_pipeline
from tests.videos import steady_times, write_video
from woosh import audio
from woosh.catalogue import describe_model
from woosh.generation.request import Request
from woosh.studio import visits
from woosh.studio.places import Region
from woosh.studio.shelf import Shelf
from woosh.studio.visits import (
    MOST_KEPT,
    Asked,
    Visits,
    bring,
    check_change,
    chosen,
    film_of,
    part_of,
    seeds_of,
)
from woosh.studio.workshop import Change, Model, Workshop

RAIN = Request("rain", seconds=0.5, steps=1)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Model]:
    info = describe_model(save_pipeline(tmp_path_factory.mktemp("models") / "toy"))
    seeing = make_pipeline(max_frames=100, video_channels=8).sampler
    return Model(make_pipeline(max_frames=100).sampler, info), Model(seeing, info)


@pytest.fixture
def workshop(models: tuple[Model, Model], tmp_path: Path) -> Workshop:
    (tmp_path / "shelf").mkdir()
    return Workshop(*models, Shelf(tmp_path / "shelf", 3600))


def test_fields_become_a_request(models: tuple[Model, Model]) -> None:
    request = Asked(" rain  on tin ", " ", 2.0, 3.5).request(models[0].sampler, 1.5)
    assert (request.prompts, request.seconds, request.steps) == (["rain on tin"], 1.5, 2)
    assert request.negative_prompt is None and request.guidance_scale == 3.5
    film = Asked(None, "music", 2, 3).of_film(models[1].sampler, 2.0)
    assert (film.prompts, film.negative_prompt) == ([""], "music")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(" ", None, 2, 3), "the prompt is empty"),
        (Asked(None, None, 2, 3), "the prompt is empty"),
        (Asked("x" * 401, None, 2, 3), "401 characters are too long: up to 400"),
        (Asked("rain", "x" * 500, 2, 3), "500 characters are too long"),
    ],
)
def test_wrong_words_are_refused(models: tuple[Model, Model], asked: Asked, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        asked.request(models[0].sampler, 1.0)


def test_seeds_follow_each_other() -> None:
    """A first one that is left open is random, and leaves room for the others."""
    assert seeds_of(7, 3) == [7, 8, 9]
    drawn = {seeds_of(first, 8)[0] for first in (None, -1) for _ in range(20)}
    assert len(drawn) == 40 and max(drawn) + 8 <= visits.MAX_SEED


def test_parts_are_numbers_or_the_whole_sound() -> None:
    assert part_of({"from": 0.5, "to": 1}) == Region(0.5, 1)
    assert part_of(None) is part_of({"from": None, "to": 1}) is part_of({}) is None
    with pytest.raises(ValueError, match="number of seconds, not '0; drop', 1"):
        part_of({"from": "0; drop", "to": 1})


def test_each_visitors_work_is_ended_by_them_alone(workshop: Workshop) -> None:
    """The takes that are done stay, the first new one is selected, and the next work is not ended by the old wish."""
    both, told = Visits(), []
    jobs = workshop.takes(RAIN, [1, 2, 3], loop=False)
    ada = both.work("ada", workshop, [], jobs, lambda made, share: told.append((made, share)))
    ben = both.work("ben", workshop, [], jobs, lambda *_: None)
    first = next(ada)
    assert (len(first.takes), first.selected, first.status) == (1, 0, "1 of 3 made.")
    next(ben)
    assert both.stop("ada") and not both.stop("eve")
    (last,) = ada
    assert (last.takes, last.status) == (first.takes, "Stopped: 1 of 3 made.")
    assert [state.status for state in ben] == ["2 of 3 made.", "3 of 3 made."]
    further = list(both.work("ada", workshop, last.takes, jobs[1:], lambda *_: None))
    assert [(len(state.takes), state.selected) for state in further] == [(2, 1), (3, 1)]
    assert told[0] == (0, 0.0)
    assert not both.stop("ada") and not both.stop("ben")  # nothing is left to end


def test_of_many_takes_the_oldest_go(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first new one stays selected while it is there."""
    assert MOST_KEPT > visits.MOST_TAKES
    monkeypatch.setattr(visits, "MOST_KEPT", 3)
    jobs = workshop.takes(RAIN, [1, 2], loop=False)
    takes = list(Visits().work("ada", workshop, [], jobs, lambda *_: None))[-1].takes
    states = list(Visits().work("ada", workshop, takes, jobs, lambda *_: None))
    assert [(len(state.takes), state.selected) for state in states] == [(3, 2), (3, 1)]
    assert states[-1].takes[0] is takes[1]


def test_a_take_that_there_is_not_is_not_chosen(workshop: Workshop, tmp_path: Path) -> None:
    audio.write_audio(tmp_path / "My door.flac", sound(1), 48_000)
    takes = [bring(workshop, tmp_path / "My door.flac")]
    assert takes[0].told == "my-door, your sound, 0.50 s"
    assert chosen(takes, 0) is takes[0]
    for index in (1, -1, None, "0"):
        with pytest.raises(ValueError, match="no take is selected"):
            chosen(takes, index)  # type: ignore[arg-type]


def test_without_a_part_all_of_a_take_is_changed_but_not_replaced() -> None:
    """Nothing of the take would be left: what is asked for is a new one, or somebody forgot to select."""
    check_change(Change("edit", strength=0.5))
    check_change(Change("edit", region=Region(0, 1)))
    check_change(Change("vary"))
    with pytest.raises(ValueError, match="no part is selected"):
        check_change(Change("edit"))


def test_of_a_long_sound_the_beginning_is_taken_and_that_is_said(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "LONGEST", 0.2)
    audio.write_audio(tmp_path / "hum.wav", sound(1), 48_000)
    assert bring(workshop, tmp_path / "hum.wav").told == "hum, your sound, the first 0.20 s"


def test_films_are_what_browsers_play(tmp_path: Path) -> None:
    """Matroska becomes MP4; what no browser plays, what is long, and what has no sound to mix with is refused."""
    times = steady_times(Fraction(25), 1.0)
    write_video(tmp_path / "a.mkv", times)
    write_video(tmp_path / "web.webm", times, codec="libvpx")
    write_video(tmp_path / "old.avi", times, codec="ffv1")
    write_video(tmp_path / "long.mp4", [Fraction(second) for second in range(70)])
    assert film_of(tmp_path / "a.mkv", None).container == ".mp4"
    assert film_of(tmp_path / "web.webm", None).container == ".webm"
    for name, gain, message in (
        ("old.avi", None, "cannot hold the picture's ffv1"),
        ("long.mp4", None, "takes up to 60 s"),
        ("a.mkv", -6.0, "no sound to mix with"),
    ):
        with pytest.raises(ValueError, match=message):
            film_of(tmp_path / name, gain)
