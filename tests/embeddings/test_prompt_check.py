"""What a prompt asks for and what is heard, with the built-in networks."""

import numpy as np
import pytest

from woosh import procedural
from woosh.embeddings.prompt_check import PromptEar, kind_of, load_prompt_ear
from woosh.evaluation.recognition_prompts import PROMPTS


@pytest.fixture(scope="module")
def ear() -> PromptEar:
    return load_prompt_ear()


def test_prompts_ask_for_the_labels_that_count_as_heard(ear: PromptEar) -> None:
    """Of the prompts by which recognition is measured, whose labels were chosen by hand."""
    asked = {prompt: ear.asked(prompt.prompt) for prompt in PROMPTS}
    named = {prompt: labels for prompt, labels in asked.items() if labels}
    right = [
        prompt
        for prompt, labels in named.items()
        if {*labels, *map(kind_of, labels)}
        & ({*prompt.labels, *map(kind_of, prompt.labels)} - {None})
    ]
    assert len(named) >= 0.75 * len(PROMPTS)
    assert len(right) >= 0.95 * len(named)


@pytest.mark.parametrize("prompt", ["the quick brown fox", "something odd", "?"])
def test_words_that_are_near_to_no_label_ask_for_none(ear: PromptEar, prompt: str) -> None:
    assert ear.asked(prompt) == ()
    assert ear.misheard(prompt, np.zeros((1, 4800), np.float32), 48_000) == ()


def test_a_sound_is_misheard_under_the_words_of_another(ear: PromptEar) -> None:
    sound = procedural.generate(1, "siren", seconds=3.0)
    audio, rate = np.atleast_2d(sound.audio).astype(np.float32), 48_000
    assert ear.misheard("a police siren", audio, rate) == ()
    assert "Siren" in ear.misheard("a frog croaking", audio, rate)


def test_two_channels_and_very_short_sounds_are_heard(ear: PromptEar) -> None:
    assert len(ear.heard(np.zeros((2, 100), np.float32), 44_100)) == 10


def test_labels_of_one_category_count_as_one_another() -> None:
    assert kind_of("Dog") == kind_of("Bark") and kind_of("Music") is None
