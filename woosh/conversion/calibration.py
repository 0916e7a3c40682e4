"""Which layers stay in float32 where the others multiply in eight bits: measured on a model's own sampling.

Most of what eight bits do to a velocity comes from few layers, and these differ from model to model. Each layer's error is
measured by itself; errors of several add up as squares do (`docs/performance.md` compares that with graphs).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.generation.transformer import WooshTransformer

Call = tuple[Any, ...]  # what a transformer is called with
PROMPTS = ("rain on a tin roof", "a door creaks", "a car starts")
SECONDS = 2.0  # of each
INTERVALS = 4  # between the steps that are looked at
GOAL = 0.017  # |v - v'| / |v|, the mean over all calls: .02 with other prompts than these
MOST_WORK = 0.19  # of all multiplications; more would cost more than .32 of float32's time
LARGEST_ACTIVATION, LARGEST_WEIGHT = 255, 127  # of eight bits without a sign, and with one


@dataclass(frozen=True)
class Layer:
    """What a layer costs and does.

    Attributes:
        work: its share of all multiplications of tokens and weights, from 0 to 1.
        errors: |v - v'| / |v| of each call, where this layer alone multiplies in eight bits.
    """

    work: float
    errors: tuple[float, ...]


def sampled_calls(
    sampler: Sampler, prompts: Sequence[str], seconds: float, first_seed: int = 0
) -> list[Call]:
    """What the transformer is called with while it makes a sound of each prompt: five of 25 steps, or all of four."""
    calls = []
    for seed, prompt in enumerate(prompts, first_seed):
        own: list[Call] = []

        def keep(_network: nn.Module, given: Call, own: list[Call] = own) -> None:
            own.append(given)

        handle = sampler.transformer.register_forward_pre_hook(keep)
        try:
            sampler.latents(Request(prompt, seconds=seconds, seed=seed))
        finally:
            handle.remove()
        calls += own[:: max(1, len(own) // INTERVALS)]
    return calls


@torch.no_grad()
def measured_layers(transformer: WooshTransformer, calls: Sequence[Call]) -> dict[str, Layer]:
    """The layers that multiply tokens, by name: each alone in eight bits, in as many calls as there are layers and one."""
    layers, work = token_layers(transformer, calls[0])
    errors: dict[str, list[float]] = {name: [] for name in layers}
    for call in calls:
        expected = transformer(*call)
        size = expected.norm().clamp_min(torch.finfo(expected.dtype).tiny)
        for name, layer in layers.items():
            with eight_bits(layer):
                errors[name].append(float((transformer(*call) - expected).norm() / size))
    total = sum(work.values())
    return {name: Layer(work[name] / total, tuple(errors[name])) for name in layers}


def token_layers(
    transformer: WooshTransformer, call: Call
) -> tuple[dict[str, nn.Linear], dict[str, int]]:
    """The linear layers of tokens (B, N, W), not those of times (B, W), and the multiplications of each in a call."""
    layers: dict[str, nn.Linear] = {}
    work: dict[str, int] = {}
    handles = []
    for name, module in transformer.named_modules():
        if isinstance(module, nn.Linear):

            def note(module: Any, given: Any, _made: Tensor, name: str = name) -> None:
                [x] = given
                if x.ndim == 3:
                    layers[name] = module
                    work[name] = module.weight.numel() * x.shape[0] * x.shape[1]

            handles.append(module.register_forward_hook(note))
    try:
        transformer(*call)
    finally:
        for handle in handles:
            handle.remove()
    return layers, work


@contextmanager
def eight_bits(layer: nn.Linear) -> Iterator[None]:
    """Let a layer multiply what it takes as ONNX Runtime's dynamic quantisation does."""

    def multiply(_layer: nn.Module, given: tuple[Tensor], _made: Tensor) -> Tensor:
        return F.linear(rounded_activations(given[0]), rounded_weights(layer.weight), layer.bias)

    handle = layer.register_forward_hook(multiply)
    try:
        yield
    finally:
        handle.remove()


def rounded_activations(x: Tensor) -> Tensor:
    """Any shape -> the nearest of 256 levels, the same for the whole tensor; 0 is one of them."""
    low, high = x.min().clamp(max=0), x.max().clamp(min=0)
    step = ((high - low) / LARGEST_ACTIVATION).clamp_min(torch.finfo(x.dtype).tiny)
    zero = (-low / step).round()
    return ((x / step).round() + zero).clamp(0, LARGEST_ACTIVATION).sub(zero) * step


def rounded_weights(weight: Tensor) -> Tensor:
    """(outputs, inputs) -> the nearest of 255 levels, other ones for each output."""
    step = weight.abs().amax(1, keepdim=True) / LARGEST_WEIGHT
    step = step.clamp_min(torch.finfo(weight.dtype).tiny)
    return (weight / step).round() * step


def error_of(layers: Mapping[str, Layer], exact: Collection[str]) -> float:
    """Mean relative error of the velocity that is expected where all layers but those of `exact` are in eight bits."""
    rest = [layer.errors for name, layer in layers.items() if name not in exact]
    return statistics.mean(math.hypot(*call) for call in zip(*rest, strict=True)) if rest else 0.0


def exact_layers(
    layers: Mapping[str, Layer], goal: float = GOAL, most_work: float = MOST_WORK
) -> tuple[str, ...]:
    """Names of the layers that stay in float32: those that gain most for their work, until the goal or the work is reached."""
    exact: list[str] = []
    while error_of(layers, exact) > goal:
        spent = sum(layers[name].work for name in exact)
        fitting = [
            name
            for name, layer in layers.items()
            if name not in exact and spent + layer.work <= most_work
        ]
        if not fitting:
            break
        exact.append(
            min(
                fitting,
                key=lambda name: (
                    (error_of(layers, [*exact, name]) - error_of(layers, exact)) / layers[name].work
                ),
            )
        )
    return tuple(exact)


def exact_layers_of(sampler: Sampler) -> tuple[str, ...]:
    """The same of a model, from the sounds of three prompts of this module."""
    calls = sampled_calls(sampler, PROMPTS, SECONDS)
    return exact_layers(measured_layers(sampler.transformer, calls))
