"""What the page shows: a tab for sounds from words and what is done with them, and one for videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio_page import gr
from studio_page.fields import (
    negative_field,
    sampling_fields,
    seed_field,
    show,
    status_field,
    text_field,
)
from studio_page.handlers import Studio
from woosh.studio.visits import LONGEST, MOST_TAKES

KEEP_SECONDS = 3600  # files older than that are removed
EXAMPLES = ("a dog barking", "rain on a tin roof", "sea waves", "a clock ticking", "crackling fire")
HERE = Path(__file__).parent


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
            with gr.Accordion("More", open=False) as more:
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
            with gr.Row(equal_height=True):
                usual: dict[str, Any] = {"size": "md", "min_width": 140}
                fetch: dict[str, Any] = usual | {"interactive": False}
                one = gr.DownloadButton("Download take", elem_id="one", **fetch)
                every = gr.DownloadButton("Download all as zip", elem_id="all", **fetch)
                again = gr.Button("Reuse prompt and seed", elem_id="again", **usual)
                own = gr.UploadButton(
                    "Open a sound", file_types=["audio"], elem_id="bring", **usual
                )
            few_step = studio.workshop.words.sampler.few_step
            operations, told, halt = build_operations(takes, choice, wave, few_step)
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
    halt.click(studio.stop, None, told, queue=False, api_name="stop_change")
    choice.input(studio.select, [takes, choice], [wave, one], api_name="select")
    again.click(studio.recall, [takes, choice], [prompt, seed, more, status], api_name="recall")
    own.upload(studio.bring, [takes, own], results, api_name="bring")


def build_operations(
    takes: gr.State, choice: gr.Radio, wave: gr.HTML, few_step: bool
) -> tuple[dict[str, tuple[gr.Button, list[Any]]], gr.Textbox, gr.Button]:
    """What is done with the selected take.

    Returns:
        a button for each operation and the inputs of `Studio.change`; where its progress is shown; what ends it.
    """
    surroundings = " At 1 this model hardly follows what is around it." if few_step else ""
    with gr.Accordion("Change the selected take", open=False, elem_id="change"):
        words = text_field(
            "What to hear", "change-prompt", info="Left empty, it is what the take was asked for."
        )
        rows = {  # operation -> its sliders' name, label, info, least, most, first and step; its button
            "edit": (
                [("strength", "Strength", f"How new the part is.{surroundings}", 0, 1, 1, 0.05)],
                "Replace the selected part",
            ),
            "vary": (
                [
                    ("similarity", "Similarity", "How much of the take is left.", 0, 1, 0.7, 0.05),
                    ("many", "Variations", "How many are made.", 1, MOST_TAKES, 3, 1),
                ],
                "Make variations",
            ),
            "extend": (
                [("longer", "Seconds", "Length of the longer sound.", 1, LONGEST, 10, 0.5)],
                "Make it longer",
            ),
        }
        sliders, buttons = [], {}
        for operation, (fields, said) in rows.items():
            with gr.Row():
                for name, label, info, least, most, first, step in fields:
                    slider = gr.Slider(
                        least, most, first, step=step, label=label, info=info, elem_id=name
                    )
                    sliders.append(slider)
                buttons[operation] = gr.Button(said, size="md", elem_id=operation)
        with gr.Row():
            buttons["loop"] = gr.Button(
                "Cut a loop out of it", size="md", min_width=120, elem_id="loop"
            )
            halt = gr.Button("Stop", size="md", min_width=120, elem_id="change-stop")
        told = status_field("change-status")
    strength, similarity, count, longer = sliders
    operations = {
        operation: (
            button,
            [takes, choice, wave, gr.State(operation), words, strength, similarity, count, longer],
        )
        for operation, button in buttons.items()
    }
    return operations, told, halt


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
