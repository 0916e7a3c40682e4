"""The studio in the browser, on this machine alone: sounds from words, what is done with them, and sound for a video.

    python demos/studio.py [--model NAME|DIR] [--video-model NAME|DIR] [--device auto|cpu|cuda|mps] [--port N]

Needs the `demo` extra (gradio). The picture of a sound, playing it and selecting a part of it is `waveform.js`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

# Read when gradio is imported: the page reports to nobody.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from woosh.command_line import Parser, missing_extra, run_to_exit_code

try:
    import gradio as gr
    from gradio.themes import Base, Default
except ImportError as error:
    sys.exit(f"studio: error: {missing_extra('the page needs gradio', 'demo')} ({error})")

from woosh.catalogue import DEFAULT_MODEL, DEFAULT_VIDEO_MODEL, describe_model, find_model
from woosh.generation.loading import load_model
from woosh.generation.sampling import Sampler
from woosh.studio.shelf import Kept, Shelf
from woosh.studio.takes import NoSoundError
from woosh.studio.visits import (
    LONGEST,
    MAX_SEED,
    MOST_CHARACTERS,
    MOST_TAKES,
    Asked,
    State,
    Visits,
    bring,
    check_length,
    chosen,
    film_of,
    part_of,
    seeds_of,
    words_of,
)
from woosh.studio.workshop import Change, Job, Model, Workshop
from woosh.video.watching import Watcher, load_watcher, watch_video

MOST_WAITING = 16  # requests; further ones are refused at once
LARGEST = "200mb"  # upload
KEEP_SECONDS = 3600  # files older than that are removed
EXAMPLES = ("a dog barking", "rain on a tin roof", "sea waves", "a clock ticking", "crackling fire")
HERE = Path(__file__).parent
STYLE = """
footer { display: none !important; }
.dark button[role="tab"][aria-selected="true"] { color: var(--primary-300); }
#change .row { align-items: center; }
"""
# On a narrow page a result lies below the fields.
SHOW = """() => {
  const result = document.querySelector("#NAME");
  if (window.innerWidth < 800) result.scrollIntoView({ behavior: "smooth", block: "start" });
}"""


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
        """Prompt and seed of the selected take, for the fields."""
        with told_to_visitor():
            kept = chosen(takes, index)
        return [kept.prompt, -1 if kept.seed is None else kept.seed]

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
        "from": None,
        "to": None,
    }


def build_page(studio: Studio) -> gr.Blocks:
    """Build the page: a tab for sounds from words and what is done with them, and one for videos."""
    with gr.Blocks(
        title="Woosh studio", analytics_enabled=False, delete_cache=(KEEP_SECONDS, KEEP_SECONDS)
    ) as page:
        gr.Markdown("# Woosh studio\nSound effects, computed on this machine.")
        with gr.Tab("Sound"):
            build_sound_tab(studio)
        with gr.Tab("Video"):
            build_video_tab(studio)
    return page


def build_sound_tab(studio: Studio) -> None:
    """Fields on the left; takes, and what is done with the selected one, on the right."""
    takes = gr.State([])
    with gr.Row():
        with gr.Column(scale=2):
            prompt = text_field("Prompt", "prompt", placeholder="a dog barking")
            with gr.Row():
                # Wide enough for a label beside its number; on a phone one is below the other.
                wide: dict[str, Any] = {"min_width": 200}
                seconds = gr.Slider(
                    0.5, LONGEST, 5, step=0.1, label="Seconds", elem_id="seconds", **wide
                )
                count = gr.Slider(1, MOST_TAKES, 2, step=1, label="Takes", elem_id="takes", **wide)
            loop = gr.Checkbox(False, label="As a loop without a seam", elem_id="as-loop")
            with gr.Row():
                button = gr.Button("Generate", variant="primary", min_width=120, elem_id="generate")
                stop = gr.Button("Stop", min_width=120, elem_id="stop")
            status = status_field("status")
            with gr.Accordion("More", open=False):
                negative = negative_field(studio.workshop.words.sampler)
                steps, guidance = sampling_fields(studio.workshop.words.sampler)
                seed = seed_field()
            gr.Examples([[example] for example in EXAMPLES], inputs=[prompt], label="Examples")
        with gr.Column(scale=3, elem_id="result"):
            wave = gr.HTML(
                None,
                html_template=(HERE / "waveform.html").read_text(encoding="utf-8"),
                css_template=(HERE / "waveform.css").read_text(encoding="utf-8"),
                js_on_load=(HERE / "waveform.js").read_text(encoding="utf-8"),
                elem_id="wave",
            )
            choice = gr.Radio(choices=[], label="Takes of this session", elem_id="choice")
            with gr.Row():
                usual: dict[str, Any] = {"size": "md", "min_width": 140}
                fetch: dict[str, Any] = usual | {"interactive": False}
                one = gr.DownloadButton("Download take", elem_id="one", **fetch)
                every = gr.DownloadButton("Download all as zip", elem_id="all", **fetch)
                again = gr.Button("Reuse prompt and seed", elem_id="again", **usual)
                own = gr.UploadButton(
                    "Open a sound", file_types=["audio"], elem_id="bring", **usual
                )
            operations, told = build_operations(takes, choice, wave, count)
    results = [takes, choice, wave, one, every, status]
    view = show("result")
    asked = [takes, prompt, seconds, count, loop, negative, steps, guidance, seed]
    gr.on(
        [button.click, prompt.submit],
        studio.generate,
        asked,
        results,
        api_name="generate",
        concurrency_id="model",
        show_progress_on=status,
    ).then(**view)
    for name, (pressed, inputs) in operations.items():
        pressed.click(
            studio.change,
            inputs,
            [*results, told],
            api_name=name,
            concurrency_id="model",
            show_progress_on=told,
        ).then(**view)
    stop.click(studio.stop, None, status, queue=False, api_name="stop")
    choice.input(studio.select, [takes, choice], [wave, one], api_name="select")
    again.click(studio.recall, [takes, choice], [prompt, seed], api_name="recall")
    own.upload(studio.bring, [takes, own], results, api_name="bring")


def build_operations(
    takes: gr.State, choice: gr.Radio, wave: gr.HTML, count: gr.Slider
) -> tuple[dict[str, tuple[gr.Button, list[Any]]], gr.Textbox]:
    """What is done with the selected take.

    Returns:
        a button for each operation and the inputs of `Studio.change`, and where its progress is shown.
    """
    with gr.Accordion("Change the selected take", open=False, elem_id="change"):
        words = text_field(
            "What to hear", "change-prompt", info="Left empty, it is what the take was asked for."
        )
        rows = {  # operation -> its slider's name, label, info, least, most, first and step; its button
            "edit": (
                ("strength", "Strength", "How much of the part is new.", 0, 1, 1, 0.05),
                "Replace the selected part",
            ),
            "vary": (
                ("similarity", "Similarity", "How much of the take is left.", 0, 1, 0.7, 0.05),
                "Make as many variations as Takes",
            ),
            "extend": (
                ("longer", "Seconds", "Length of the longer sound.", 1, LONGEST, 10, 0.5),
                "Make it longer",
            ),
        }
        sliders, buttons = [], {}
        for operation, ((name, label, info, least, most, first, step), said) in rows.items():
            with gr.Row():
                sliders.append(
                    gr.Slider(least, most, first, step=step, label=label, info=info, elem_id=name)
                )
                buttons[operation] = gr.Button(said, size="md", elem_id=operation)
        buttons["loop"] = gr.Button("Cut a loop out of it", size="md", elem_id="loop")
        told = status_field("change-status")
    strength, similarity, longer = sliders
    operations = {
        operation: (
            button,
            [takes, choice, wave, gr.State(operation), words, strength, similarity, count, longer],
        )
        for operation, button in buttons.items()
    }
    return operations, told


def show(name: str) -> dict[str, Any]:
    """How an event brings what has a name into view."""
    return {"fn": None, "js": SHOW.replace("NAME", name), "api_visibility": "private"}


def text_field(label: str, name: str, **more: Any) -> gr.Textbox:
    """A text of no more characters than the page takes."""
    return gr.Textbox(label=label, elem_id=name, max_length=MOST_CHARACTERS, **more)


def status_field(name: str) -> gr.Textbox:
    """Where progress is shown."""
    return gr.Textbox("Ready.", label="Progress", interactive=False, elem_id=name)


def negative_field(sampler: Sampler, prefix: str = "") -> gr.Textbox:
    """What not to hear, where the model can be told."""
    return text_field(
        "Negative prompt",
        f"{prefix}negative",
        info="What not to hear.",
        visible=not sampler.few_step,
    )


def sampling_fields(sampler: Sampler, prefix: str = "") -> tuple[gr.Slider, gr.Slider]:
    """Steps and guidance, within what the model was taught."""
    weakest, strongest = sampler.settings.guidance_range or (0, 15)
    most = 16 if sampler.few_step else 100
    return (
        gr.Slider(1, most, sampler.steps, step=1, label="Steps", elem_id=f"{prefix}steps"),
        gr.Slider(
            weakest,
            strongest,
            sampler.guidance_scale,
            step=0.1,
            label="Guidance (1 is none)",
            elem_id=f"{prefix}guidance",
        ),
    )


def seed_field(prefix: str = "") -> gr.Number:
    """The seed of the first take; those of the others follow it."""
    return gr.Number(
        -1,
        label="Seed of the first take (-1 is a random one)",
        precision=0,
        minimum=-1,
        maximum=MAX_SEED - MOST_TAKES,
        elem_id=f"{prefix}seed",
    )


def build_video_tab(studio: Studio) -> None:
    """A video in, takes of its sound out."""
    takes, sampler = gr.State([]), studio.workshop.pictures.sampler
    with gr.Row():
        with gr.Column(scale=2):
            video = gr.Video(
                label=f"Video, up to {LONGEST:g} s",
                sources=["upload"],
                elem_id="video",
                format=None,
            )
            prompt = text_field(
                "Prompt (may stay empty)", "video-prompt", info="What the picture does not say."
            )
            count = gr.Slider(1, MOST_TAKES, 1, step=1, label="Takes", elem_id="video-takes")
            with gr.Row():
                button = gr.Button("Make sound", variant="primary", min_width=120, elem_id="dub")
                stop = gr.Button("Stop", min_width=120, elem_id="video-stop")
            status = status_field("video-status")
            with gr.Accordion("More", open=False):
                negative = negative_field(sampler, "video-")
                steps, guidance = sampling_fields(sampler, "video-")
                seed = seed_field("video-")
                mix = gr.Checkbox(False, label="Keep the video's own sound under it", elem_id="mix")
                gain = gr.Slider(
                    -60, 24, 0, step=1, label="Gain of the new sound over it, dB", elem_id="gain"
                )
        with gr.Column(scale=3, elem_id="video-result"):
            shown = gr.Video(label="The selected take", interactive=False, elem_id="dubbed")
            choice = gr.Radio(choices=[], label="Takes of this session", elem_id="video-choice")
    gr.on(
        [button.click, prompt.submit],
        studio.dub,
        [takes, video, prompt, count, negative, steps, guidance, seed, mix, gain],
        [takes, choice, shown, status],
        api_name="dub",
        concurrency_id="model",
        show_progress_on=status,
    ).then(**show("video-result"))
    stop.click(studio.stop, None, status, queue=False, api_name="stop_video")
    choice.input(studio.select_video, [takes, choice], shown, api_name="select_video")


def theme() -> Base:
    """The system's fonts (gradio's own theme fetches some from the network) and colours of enough contrast."""
    system = Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return system.set(
        color_accent="*primary_700",
        body_text_color_subdued="*neutral_600",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Load the models and serve the page on the loopback address."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default=DEFAULT_MODEL, metavar="NAME|DIR", help="words to sound")
    add("--video-model", default=DEFAULT_VIDEO_MODEL, metavar="NAME|DIR", help="videos to sound")
    add(
        "--watcher", metavar="FILE|DIR", help="what sees, if the video model's folder holds nothing"
    )
    add("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    add("--port", type=int, default=7860)
    add("--share", action="store_true", help="also open a public address through gradio's servers")
    arguments = parser.parse_args(argv)
    info = describe_model(find_model(arguments.model))
    seeing = describe_model(find_model(arguments.video_model))
    place = arguments.watcher or seeing.visual
    if seeing.video_channels is None or place is None:
        parser.error(f"{seeing.name} does not see: take one that does, or name a --watcher")
    words = Model(load_model(info, arguments.device, "auto"), info)
    pictures = Model(load_model(seeing, arguments.device, "auto"), seeing)
    watcher = load_watcher(place, pictures.sampler.device, seeing.video_channels)
    with tempfile.TemporaryDirectory(prefix="woosh-studio-") as folder:
        workshop = Workshop(words, pictures, Shelf(Path(folder), KEEP_SECONDS))
        build_page(Studio(workshop, watcher)).queue(max_size=MOST_WAITING).launch(
            server_name="127.0.0.1",
            server_port=arguments.port,
            share=arguments.share,
            theme=theme(),
            css=STYLE,
            allowed_paths=[folder],
            max_file_size=LARGEST,
        )


if __name__ == "__main__":
    sys.exit(run_to_exit_code(Path(__file__).stem, main))
