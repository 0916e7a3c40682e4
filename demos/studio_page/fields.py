"""Fields that both tabs have."""

from __future__ import annotations

from typing import Any

from studio_page import gr
from woosh.generation.sampling import Sampler
from woosh.studio.visits import MAX_SEED, MOST_CHARACTERS, MOST_TAKES

# On a narrow page a result lies below the fields.
SHOW = """() => {
  const result = document.querySelector("#NAME");
  if (window.innerWidth < 800) result.scrollIntoView({ behavior: "smooth", block: "start" });
}"""


def show(name: str) -> dict[str, Any]:
    """How an event brings what has a name into view."""
    return {"fn": None, "js": SHOW.replace("NAME", name), "api_visibility": "private"}


def text_field(label: str, name: str, **more: Any) -> gr.Textbox:
    """A text of no more characters than the page takes."""
    return gr.Textbox(label=label, elem_id=name, max_length=MOST_CHARACTERS, **more)


def status_field(name: str) -> gr.Textbox:
    """Where progress is shown."""
    return gr.Textbox(
        "Ready.", label="Progress", interactive=False, elem_id=name, elem_classes="status"
    )


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
