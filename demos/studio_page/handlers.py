"""What the page does when a button is pressed or a take is selected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from studio_page import gr
from woosh.studio.shelf import Kept
from woosh.studio.takes import NoSoundError
from woosh.studio.visits import (
    Asked,
    State,
    Visits,
    bring,
    check_change,
    check_length,
    chosen,
    film_of,
    part_of,
    seeds_of,
    words_of,
)
from woosh.studio.workshop import Change, Job, Workshop
from woosh.video.watching import Watcher, watch_video


@dataclass(frozen=True)
class Studio:
    """What the page does for its visitors.

    Args:
        workshop: models and the shelf of what they make.
        watcher: what sees the videos.
    """

    workshop: Workshop
    watcher: Watcher
    visits: Visits = field(default_factory=Visits)

    def stop(self, http: gr.Request) -> str:
        """Let the visitor's work end after the step that it is in."""
        stopping = self.visits.stop(str(http.session_hash))
        return "Stopping after this step." if stopping else "Nothing is being made."

    def work(
        self, takes: list[Kept], jobs: Sequence[Job], http: gr.Request, progress: gr.Progress
    ) -> Iterator[State]:
        """Make sounds, with progress beside the button until Stop is pressed."""

        def tell(made: int, share: float) -> None:
            progress((made + share) / len(jobs), desc=f"take {made + 1} of {len(jobs)}")

        with told_to_visitor():
            visitor = str(http.session_hash)
            yield from self.visits.work(visitor, self.workshop, takes, jobs, tell)

    def shown(self, state: State) -> list[Any]:
        """Values of what shows a result: the list, the selected take, what can be fetched, and the status."""
        takes, selected, status = state
        if not takes:
            return [takes, gr.Radio(), None, gr.DownloadButton(), gr.DownloadButton(), status]
        together = self.workshop.shelf.together(takes)
        return [
            takes,
            choices(takes, selected),
            sounding(takes[selected]),
            gr.DownloadButton(value=str(takes[selected].path), interactive=True),
            gr.DownloadButton(value=str(together), interactive=True),
            status,
        ]

    def generate(  # noqa: PLR0913 - one for each field
        self,
        takes: list[Kept],
        prompt: str,
        seconds: float,
        count: int,
        loop: bool,
        negative: str,
        steps: int,
        guidance: float,
        seed: int | None,
        http: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for it here
    ) -> Iterator[list[Any]]:
        """Takes of a prompt."""
        with told_to_visitor():
            asked = Asked(prompt, negative, steps, guidance)
            request = asked.request(self.workshop.words.sampler, seconds)
        jobs = self.workshop.takes(request, seeds_of(seed, int(count)), loop)
        for state in self.work(takes, jobs, http, progress):
            yield self.shown(state)

    def change(  # noqa: PLR0913 - one for each field
        self,
        takes: list[Kept],
        index: int | None,
        wave: dict[str, Any] | None,
        operation: str,
        prompt: str,
        strength: float,
        similarity: float,
        count: int,
        seconds: float,
        http: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for it here
    ) -> Iterator[list[Any]]:
        """New takes made from the selected one."""
        with told_to_visitor():
            check_length(prompt)
            part = part_of(wave)
            change = Change(operation, words_of(prompt), part, strength, similarity, seconds)
            check_change(change)
            seeds = seeds_of(None, int(count) if operation == "vary" else 1)
            jobs = self.workshop.changes(chosen(takes, index), change, seeds)
        for state in self.work(takes, jobs, http, progress):
            yield [*self.shown(state), state.status]

    def bring(self, takes: list[Kept], path: str) -> list[Any]:
        """A sound that the visitor brings, as it is, among the takes."""
        with told_to_visitor():
            kept = bring(self.workshop, Path(path))
        return self.shown(State([*takes, kept], len(takes), f"{kept.told.split(',')[0]} is here."))

    def select(self, takes: list[Kept], index: int) -> list[Any]:
        """Show another take."""
        with told_to_visitor():
            kept = chosen(takes, index)
        return [sounding(kept), gr.DownloadButton(value=str(kept.path), interactive=True)]

    def recall(self, takes: list[Kept], index: int | None) -> list[Any]:
        """Prompt and seed of the selected take, for the fields; those that hold the seed are opened."""
        with told_to_visitor():
            kept = chosen(takes, index)
            if kept.seed is None:
                raise ValueError(
                    "a sound of yours has no prompt and no seed: select a take that was made here"
                )
        said = f"Its prompt and seed {kept.seed} are in the fields."
        return [kept.prompt, kept.seed, gr.Accordion(open=True), said]

    def dub(  # noqa: PLR0913 - one for each field
        self,
        takes: list[Kept],
        upload: str | None,
        prompt: str,
        count: int,
        negative: str,
        steps: int,
        guidance: float,
        seed: int | None,
        mix: bool,
        gain: float,
        http: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio looks for it here
    ) -> Iterator[list[Any]]:
        """Takes of a video's sound."""
        with told_to_visitor():
            if upload is None:
                raise ValueError("choose a video first")
            film = film_of(Path(upload), gain if mix else None)
            asked = Asked(prompt, negative, steps, guidance)
            request = asked.of_film(self.workshop.pictures.sampler, film.video.seconds)
            progress(0, desc="watching the video")
            request = replace(request, video=watch_video(self.watcher, film.video))
        jobs = self.workshop.films(film, request, seeds_of(seed, int(count)))
        for made, selected, status in self.work(takes, jobs, http, progress):
            path = str(made[selected].path) if made else None
            yield [made, choices(made, selected), path, status]

    def select_video(self, takes: list[Kept], index: int) -> str:
        """Show another take of a video."""
        with told_to_visitor():
            return str(chosen(takes, index).path)


@contextmanager
def told_to_visitor() -> Iterator[None]:
    """Wrong values are told on the page, and not in the terminal."""
    try:
        yield
    except (ValueError, OSError, NoSoundError) as error:
        raise gr.Error(str(error), print_exception=False) from error


def choices(takes: list[Kept], selected: int) -> gr.Radio:
    """The list of takes, one selected."""
    labels = [(f"{index + 1}. {take.told}", index) for index, take in enumerate(takes)]
    return gr.Radio(choices=labels, value=selected if takes else None)


def sounding(kept: Kept) -> dict[str, Any]:
    """The value of the picture: where it fetches the sound, what it says of it, and the selected part."""
    return {
        "url": f"/gradio_api/file={quote(str(kept.path))}",
        "name": kept.path.name,
        "told": kept.told,
        "loop": kept.loop,
        "from": None,
        "to": None,
    }
