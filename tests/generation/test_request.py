"""A request: every sound's texts, what is refused before a model is loaded, and what a file keeps of it."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.toys import make_pipeline
from woosh import __version__
from woosh.catalogue import built_in_models
from woosh.generation.request import Request, clean_text


@given(
    prompts=st.lists(st.text(max_size=8), min_size=1, max_size=4),
    sounds=st.integers(1, 3),
    each=st.booleans(),
)
def test_every_sound_has_its_prompt_and_negative_prompt(
    prompts: list[str], sounds: int, each: bool
) -> None:
    negative = [f"not {text}" for text in prompts] if each else "noise"
    request = Request(prompts, negative_prompt=negative, sounds_per_prompt=sounds)
    assert request.count == len(prompts) * sounds
    for index in range(request.count):
        prompt = prompts[index // sounds]
        assert request.prompts[index] == prompt
        assert request.negative_prompts[index] == (f"not {prompt}" if each else "noise")


def test_no_negative_prompt_is_the_empty_text() -> None:
    assert Request(["a", "b"]).negative_prompts == ["", ""]
    assert Request("a", negative_prompt="").negative_prompts == [""]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": ()}, "prompt must be a text or several"),
        ({"prompt": b"rain"}, "prompt must be a text or several"),
        ({"negative_prompt": ["a", "b"]}, "one for each prompt"),
        ({"seconds": 601}, "601 seconds are too long"),
        ({"seconds": -0.5}, "above 0, got -0.5"),
        ({"sound_seconds": 0}, "sound_seconds must be a length above 0, got 0"),
        ({"sound_seconds": float("nan")}, "sound_seconds must be a length above 0"),
        ({"steps": True}, "steps must be a whole number of 1 or more, got True"),
        ({"sounds_per_prompt": 0}, "sounds_per_prompt must be a whole number"),
        ({"guidance_scale": float("inf")}, "guidance_scale must be from 0 to 1000"),
        ({"video_guidance_scale": -1}, "video_guidance_scale must be from 0 to 1000"),
        ({"seed": -1}, "seed must be from 0"),
        ({"seed": 2**63}, "seed must be from 0"),
        ({"seed": 2**63 - 1, "sounds_per_prompt": 2}, "seed must be from 0"),
        ({"seed": 1, "generator": torch.Generator()}, "give one"),
        ({"solver": "heun"}, "multistep, euler, dopri5 or learned"),
        ({"solver": "dopri5", "times": [1, 0]}, "its own steps"),
        ({"times": [1, 0], "steps": 1}, "leave out the number of steps"),
        ({"times": [1]}, "fall from 1 to 0"),
        ({"renoise": [0, float("nan")]}, "weights of 0 or more"),
    ],
)
def test_what_no_model_can_do_is_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Request(**{"prompt": "a dog", **options})


@pytest.mark.parametrize(
    "options",
    [{"negative_prompt": "rain"}, {"solver": "dopri5"}, {"video_guidance_scale": 2.0}],
)
def test_a_described_and_a_loaded_model_refuse_the_same(options: dict[str, Any]) -> None:
    """`ModelInfo` and `Sampler` are both what a request is checked against."""
    described = {info.name: info for info in built_in_models()}
    request = Request("a dog", **options)
    for few_step in (described["woosh-tiny-fast"], make_pipeline(flow_map=True).sampler):
        with pytest.raises(ValueError, match="few-step models, such as woosh-tiny-fast, .*leave"):
            request.check(few_step)
    for guided in (described["woosh-tiny"], make_pipeline().sampler):
        request.check(guided)
        with pytest.raises(ValueError, match="renoise is for few-step models"):
            Request("a dog", renoise=[0.5]).check(guided)
        with pytest.raises(ValueError, match="shorter than one sample"):
            Request("a dog", seconds=1e-6).check(guided)
        with pytest.raises(ValueError, match="not told how long a sound is"):
            Request("a dog", sound_seconds=1).check(guided)


def test_seeds_count_up_from_the_first() -> None:
    sampler = make_pipeline().sampler
    three = sampler(Request("a dog", seconds=0.05, seed=5, sounds_per_prompt=3))
    for index in range(3):
        alone = sampler(Request("a dog", seconds=0.05, seed=5 + index))
        assert torch.equal(three[index], alone[0])
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(three[:1], sampler(Request("a dog", seconds=0.05, generator=generator)))


def test_a_file_keeps_what_it_was_made_from() -> None:
    record = Request("a dog", seed=3).record("toy")
    assert record == {"prompt": "a dog", "seed": 3, "model": "toy", "version": __version__}
    assert Request("a", negative_prompt="b", seed=0).record("toy")["negative_prompt"] == "b"
    for several in (Request("a"), Request(["a", "b"], seed=0)):
        with pytest.raises(ValueError, match="one sound and its seed"):
            several.record("toy")


@pytest.mark.parametrize(
    ("typed", "message"),
    [(" \n\t", "the prompt is empty"), ("a \ud800", "the prompt is not valid UTF-8 text")],
)
def test_typed_text_that_says_nothing_is_refused(typed: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clean_text(typed, "prompt")
    assert clean_text(" a  dog\nbarks ", "prompt") == "a dog barks"
