"""The studio in the browser, on this machine alone: sounds from words, what is done with them, and sound for a video.

    python demos/studio.py [--model NAME|DIR] [--video-model NAME|DIR] [--device auto|cpu|cuda|mps] [--port N]

Needs the `demo` extra (gradio). The picture of a sound, playing it and selecting a part of it is `waveform.js`.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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

from woosh import audio
from woosh.catalogue import DEFAULT_MODEL, DEFAULT_VIDEO_MODEL, describe_model, find_model
from woosh.generation.loading import load_model
from woosh.generation.request import Request, clean_text
from woosh.generation.sampling import Sampler
from woosh.studio.edit import Region
from woosh.studio.shelf import Kept, Shelf
from woosh.studio.takes import NoSoundError
from woosh.studio.workshop import Change, Film, Job, Model, Watch, Workshop
from woosh.video import Video, open_video
from woosh.video.muxing import check_output
from woosh.video.watching import Watcher, load_watcher, watch_video

LONGEST = 60.0  # seconds of a sound or a video
MOST_TAKES = 8  # at a time
MOST_KEPT = 64  # takes of a visitor; the oldest go
MOST_CHARACTERS = 400  # of a text; browsers are told, and others may not ask
MOST_WAITING = 16  # requests; further ones are refused at once
LARGEST = "200mb"  # upload
PLAYED = (".mp4", ".webm")  # what browsers play
MAX_SEED = 2**32 - 1  # a browser's numbers are exact up to 2^53
KEEP_SECONDS = 3600  # files older than that are removed
EXAMPLES = ("a dog barking", "rain on a tin roof", "sea waves", "a clock ticking", "crackling fire")
HERE = Path(__file__).parent
STYLE = """
footer { display: none !important; }
.dark button[role="tab"][aria-selected="true"] { color: var(--primary-300); }
"""
# On a narrow page the result lies below the fields.
SHOW_RESULT = """() => {
  const result = document.querySelector("#result");
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
    stops: dict[str, threading.Event] = field(default_factory=dict)  # of each visitor

    def stop(self, http: gr.Request) -> str:
        """Let the visitor's work end after the step that it is in."""
        self.stops.setdefault(str(http.session_hash), threading.Event()).set()
        return "Stopping after this step."

    def watch(self, sounds: int, http: gr.Request, progress: gr.Progress) -> Watch:
        """Progress beside the button, until Stop is pressed."""
        stop = self.stops[str(http.session_hash)] = threading.Event()

        def tell(made: int, share: float) -> None:
            progress((made + share) / sounds, desc=f"take {made + 1} of {sounds}")

        return Watch(tell, stop)

    def made(
        self, takes: list[Kept], jobs: Sequence[Job], http: gr.Request, progress: gr.Progress
    ) -> Iterator[list[Any]]:
        """Make sounds, and show each as it comes, the first of them selected."""
        count, selected = 0, len(takes)
        with told_to_visitor():
            for kept in self.workshop.work(jobs, self.watch(len(jobs), http, progress)):
                takes, count = [*takes, kept], count + 1
                if len(takes) > MOST_KEPT:
                    takes, selected = takes[1:], selected - 1
                yield self.shown(takes, selected, f"{count} of {len(jobs)} made.")
        if count < len(jobs):
            yield self.shown(takes, selected, f"Stopped: {count} of {len(jobs)} made.")

    def shown(self, takes: list[Kept], selected: int, status: str) -> list[Any]:
        """Values of what shows a result: the list, the selected take, what can be fetched, and the status."""
        if not takes:
            return [takes, gr.Radio(), None, gr.DownloadButton(), gr.DownloadButton(), status]
        selected = min(selected, len(takes) - 1)
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
            check_length(prompt, negative)
            request = Request(
                clean_text(prompt or "", "prompt"),
                negative_prompt=" ".join((negative or "").split()) or None,
                seconds=seconds,
                steps=int(steps),
                guidance_scale=guidance,
            )
            request.check(self.workshop.words.sampler)
        jobs = self.workshop.takes(request, seeds_of(seed, int(count)), loop)
        yield from self.made(takes, jobs, http, progress)

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
            words = " ".join((prompt or "").split())
            change = Change(operation, words, region_of(wave), strength, similarity, seconds)
            seeds = seeds_of(None, int(count) if operation == "vary" else 1)
            jobs = self.workshop.changes(chosen(takes, index), change, seeds)
        yield from self.made(takes, jobs, http, progress)

    def bring(self, takes: list[Kept], path: str) -> list[Any]:
        """A sound that the visitor brings, as it is, among the takes."""
        with told_to_visitor():
            rate = self.workshop.sample_rate
            sound = audio.read_audio(path, rate, longest_seconds=LONGEST)
            name = audio.file_stem(Path(path).stem)
            told = f"{name}, your sound, {sound.shape[1] / rate:.2f} s"
            kept = self.workshop.shelf.keep(audio.peak_guard(sound), rate, {}, told)
        return self.shown([*takes, kept], len(takes), f"{name} is here.")

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
        made, selected, seeds = 0, len(takes), seeds_of(seed, int(count))
        with told_to_visitor():
            if upload is None:
                raise ValueError("choose a video first")
            check_length(prompt, negative)
            video, container = look_at(Path(upload), mix)
            progress(0, desc="watching the video")
            request = Request(
                clean_text(prompt, "prompt") if (prompt or "").strip() else "",
                negative_prompt=" ".join((negative or "").split()) or None,
                seconds=video.seconds,
                steps=int(steps),
                guidance_scale=guidance,
                video=watch_video(self.watcher, video),
            )
            watch = self.watch(len(seeds), http, progress)
            film = Film(video, container, gain if mix else None)
            for kept in self.workshop.work(self.workshop.films(film, request, seeds), watch):
                takes, made = [*takes, kept], made + 1
                status = f"{made} of {len(seeds)} made."
                yield [takes, choices(takes, selected), str(takes[selected].path), status]
        if made < len(seeds):
            yield [takes, gr.Radio(), gr.Video(), f"Stopped: {made} of {len(seeds)} made."]

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


def chosen(takes: list[Kept], index: int | None) -> Kept:
    """The selected take.

    Raises:
        ValueError: none is.
    """
    if not isinstance(index, int) or not 0 <= index < len(takes):
        raise ValueError("there is no such take yet: generate one, or open a sound of yours")
    return takes[index]


def region_of(wave: dict[str, Any] | None) -> Region | None:
    """The part that is selected on the picture; None is the whole sound.

    Raises:
        ValueError: what came from the browser is no part of a sound.
    """
    start, stop = (wave or {}).get("from"), (wave or {}).get("to")
    if start is None or stop is None:
        return None
    if not all(isinstance(value, int | float) for value in (start, stop)):
        raise ValueError(f"a part begins and ends at a number of seconds, not {start!r}, {stop!r}")
    return Region(start, stop)


def choices(takes: list[Kept], selected: int) -> gr.Radio:
    """The list of takes, one selected."""
    labels = [(f"{index + 1}. {take.told}", index) for index, take in enumerate(takes)]
    return gr.Radio(choices=labels, value=min(selected, len(takes) - 1))


def sounding(kept: Kept) -> dict[str, Any]:
    """The value of the picture: where it fetches the sound, what it says of it, and the selected part."""
    return {
        "url": f"/gradio_api/file={quote(str(kept.path))}",
        "name": kept.path.name,
        "told": kept.told,
        "from": None,
        "to": None,
    }


def seeds_of(seed: int | None, count: int) -> list[int]:
    """Seeds one after the other; a random first one for -1 and for an empty field."""
    first = secrets.randbelow(MAX_SEED - MOST_TAKES) if seed is None or seed < 0 else int(seed)
    return [first + index for index in range(count)]


def check_length(*texts: str | None) -> None:
    """Raise a ValueError for a text that is longer than the page lets anyone write."""
    longest = max(len(text or "") for text in texts)
    if longest > MOST_CHARACTERS:
        raise ValueError(f"{longest} characters are too long: up to {MOST_CHARACTERS} are taken")


def look_at(path: Path, mix: bool) -> tuple[Video, str]:
    """An uploaded video, and a container that browsers play and that holds its picture as it is.

    Raises:
        ValueError: no video, a longer one than the page takes, or one that no browser plays.
    """
    video = open_video(path)
    if video.seconds > LONGEST:
        raise ValueError(
            f"the video lasts {video.seconds:.0f} s; this page takes up to {LONGEST:g} s, "
            "`woosh dub` any part of a longer one"
        )
    problems = []
    for container in PLAYED:
        try:
            check_output(video, path.with_suffix(f".new{container}"), mix=mix)
        except ValueError as error:
            problems.append(str(error))
        else:
            return video, container
    raise ValueError(problems[0])


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
                seconds = gr.Slider(0.5, LONGEST, 5, step=0.1, label="Seconds", elem_id="seconds")
                count = gr.Slider(1, MOST_TAKES, 2, step=1, label="Takes", elem_id="takes")
            loop = gr.Checkbox(False, label="As a loop without a seam", elem_id="as-loop")
            with gr.Row():
                button = gr.Button("Generate", variant="primary", elem_id="generate")
                stop = gr.Button("Stop", elem_id="stop")
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
                one = gr.DownloadButton("Download the take", interactive=False, elem_id="one")
                every = gr.DownloadButton("Download all as zip", interactive=False, elem_id="all")
                again = gr.Button("Use its prompt and seed", elem_id="again")
                bring = gr.UploadButton(
                    "Open a sound of yours", file_types=["audio"], elem_id="bring"
                )
            operations = build_operations(takes, choice, wave, count)
    results = [takes, choice, wave, one, every, status]
    shared: dict[str, Any] = {"concurrency_id": "model", "show_progress_on": status}
    asked = [takes, prompt, seconds, count, loop, negative, steps, guidance, seed]
    gr.on(
        [button.click, prompt.submit],
        studio.generate,
        asked,
        results,
        api_name="generate",
        **shared,
    ).then(None, js=SHOW_RESULT, api_visibility="private")
    for name, (pressed, inputs) in operations.items():
        pressed.click(studio.change, inputs, results, api_name=name, **shared)
    stop.click(studio.stop, None, status, queue=False, api_name="stop")
    choice.input(studio.select, [takes, choice], [wave, one], api_name="select")
    again.click(studio.recall, [takes, choice], [prompt, seed], api_name="recall")
    bring.upload(studio.bring, [takes, bring], results, api_name="bring")


def build_operations(
    takes: gr.State, choice: gr.Radio, wave: gr.HTML, count: gr.Slider
) -> dict[str, tuple[gr.Button, list[Any]]]:
    """What is done with the selected take: a button for each operation, and the inputs of `Studio.change`."""
    with gr.Accordion("Change the selected take", open=False, elem_id="change"):
        words = text_field(
            "What to hear", "change-prompt", info="Left empty, it is what the take was asked for."
        )
        with gr.Row():
            strength = gr.Slider(
                0, 1, 1, step=0.05, label="How much of the part is new", elem_id="strength"
            )
            part = gr.Button("Replace the selected part", elem_id="edit")
        with gr.Row():
            similarity = gr.Slider(
                0, 1, 0.7, step=0.05, label="How similar variations are", elem_id="similarity"
            )
            vary_button = gr.Button("Make variations, as many as Takes", elem_id="vary")
        with gr.Row():
            longer = gr.Slider(
                1, LONGEST, 10, step=0.5, label="Seconds of the longer sound", elem_id="longer"
            )
            extend_button = gr.Button("Make it longer", elem_id="extend")
        loop_button = gr.Button("Cut a loop out of it", elem_id="loop")
    named = {"edit": part, "vary": vary_button, "extend": extend_button, "loop": loop_button}
    return {
        name: (
            button,
            [takes, choice, wave, gr.State(name), words, strength, similarity, count, longer],
        )
        for name, button in named.items()
    }


def text_field(label: str, name: str, **more: Any) -> gr.Textbox:
    """A text of no more characters than the page takes."""
    return gr.Textbox(label=label, elem_id=name, max_length=MOST_CHARACTERS, **more)


def status_field(name: str) -> gr.Textbox:
    """Where progress is shown."""
    return gr.Textbox("Ready.", label="Progress", interactive=False, elem_id=name)


def negative_field(sampler: Sampler, prefix: str = "") -> gr.Textbox:
    """What not to hear, where the model can be told."""
    info = "Few-step models take none." if sampler.few_step else "What not to hear."
    able = not sampler.few_step
    return text_field("Negative prompt", f"{prefix}negative", info=info, interactive=able)


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
                button = gr.Button("Make the sound", variant="primary", elem_id="dub")
                stop = gr.Button("Stop", elem_id="video-stop")
            status = status_field("video-status")
            with gr.Accordion("More", open=False):
                negative = negative_field(sampler, "video-")
                steps, guidance = sampling_fields(sampler, "video-")
                seed = seed_field("video-")
                mix = gr.Checkbox(False, label="Keep the video's own sound under it", elem_id="mix")
                gain = gr.Slider(
                    -60, 24, 0, step=1, label="Gain of the new sound over it, dB", elem_id="gain"
                )
        with gr.Column(scale=3):
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
    )
    stop.click(studio.stop, None, status, queue=False, api_name="stop_video")
    choice.input(studio.select_video, [takes, choice], shown, api_name="select_video")


def theme() -> Base:
    """The system's fonts (gradio's own theme fetches some from the network) and colours of enough contrast."""
    system = Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return system.set(
        color_accent="*primary_700",
        body_text_color_subdued="*neutral_600",
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
