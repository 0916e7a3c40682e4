"""Generations of fixed shape: the sounds of the sampler, whichever way they are run."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.toys import make_mel_autoencoder, make_pipeline, make_transformer, randomise
from woosh.generation.fixed import CapturedGeneration, FixedGeneration, resident
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler

TOLERANCE = 1e-4  # of the peak, float32: another order of sums


def request_of(**changes: object) -> Request:
    """Two sounds of 0.3 s."""
    settings = {"prompt": ["a dog", "rain"], "seconds": 0.3, "seed": 3, "steps": 3}
    return Request(**(settings | changes))  # type: ignore[arg-type]


def assert_same_sound(made: Tensor, wanted: Tensor) -> None:
    assert made.shape == wanted.shape
    assert float((made - wanted).abs().max()) <= TOLERANCE * float(wanted.abs().max())


@pytest.mark.parametrize(
    ("few_step", "changes"),
    [
        (False, {}),
        (False, {"solver": "euler", "guidance_scale": 1.0}),
        (False, {"negative_prompt": "sea waves", "guidance_scale": 4.0}),
        (True, {}),
        (True, {"renoise": [0.0, 0.0, 0.4]}),
    ],
)
def test_the_sounds_are_those_of_the_sampler(few_step: bool, changes: dict[str, object]) -> None:
    """Also of words and seeds that the generation was not made with."""
    sampler = make_pipeline(flow_map=few_step).sampler
    generation = FixedGeneration(sampler, request_of(**changes))
    other = request_of(**{"prompt": ["sea waves", "a clock"], "seed": 8, **changes})
    for request in (request_of(**changes), other):
        assert_same_sound(generation(request), sampler(request))


@pytest.mark.slow
def test_a_compiled_generation_gives_the_same_sound() -> None:
    """Traced as for Inductor, without the minutes that this takes to write code."""
    sampler, request = make_pipeline(flow_map=True).sampler, request_of()
    compiled = FixedGeneration(sampler, request, compiler="aot_eager")
    assert_same_sound(compiled(request), sampler(request))
    assert sampler.transformer._compiled_call_impl is None  # the model itself stays as it is


def test_tables_that_lie_ready_are_those_of_the_transformer() -> None:
    """What is held is what would be computed."""
    for transformer in (
        make_transformer(video_channels=4),
        make_transformer(linear_skip=True),
    ):
        held = resident(transformer, 30, torch.device("cpu"))
        latents = torch.randn(1, 8, 30, generator=torch.Generator().manual_seed(0))
        randomise(transformer, 1)
        condition = transformer.prepare(torch.zeros(1, 12, 16), torch.ones(1, 12))
        with torch.no_grad():
            wanted = transformer(latents, torch.tensor([0.5]), condition)
            assert torch.equal(held(latents, torch.tensor([0.5]), condition), wanted)


def test_what_has_no_fixed_shape_is_refused() -> None:
    sampler = make_pipeline(max_frames=50).sampler
    for changes, words in (
        ({"solver": "dopri5", "steps": None}, "fixed steps"),
        ({"seconds": 2.0}, "several windows"),
    ):
        with pytest.raises(ValueError, match=words):
            FixedGeneration(sampler, request_of(**changes))
    generation = FixedGeneration(sampler, request_of())
    with pytest.raises(ValueError, match="only prompts and seeds"):
        generation(request_of(seconds=0.2))
    mel = make_mel_autoencoder()
    searching = Sampler(mel, sampler.transformer, sampler.text_encoder, sampler.tokenizer)
    with pytest.raises(ValueError, match="searches for phases"):
        FixedGeneration(searching, request_of())
    with pytest.raises(ValueError, match="CUDA"):
        CapturedGeneration(generation)


@pytest.mark.gpu
@pytest.mark.parametrize("few_step", [False, True])
def test_a_replayed_graph_gives_the_same_sound_bit_for_bit(few_step: bool) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    sampler = make_pipeline(flow_map=few_step).to("cuda").sampler
    generation = FixedGeneration(sampler, request_of())
    captured = CapturedGeneration(generation)
    for seed in (3, 4):
        request = replace(request_of(), seed=seed)
        assert torch.equal(captured(request), generation(request))
