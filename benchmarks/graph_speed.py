"""Time and error of a generator's parts as networks of torch and as ONNX graphs, in turns.

    OMP_NUM_THREADS=1 python benchmarks/graph_speed.py woosh-tiny-fast
    OMP_NUM_THREADS=1 python benchmarks/graph_speed.py --released-blocks 3

The second has the released width and so many joint and as many fused blocks of random weights, and makes no sound. Errors are
the mean over the steps of |v - v'| / |v| on the latents of a run for each prompt; times are processor seconds, best of all rounds,
of the first prompt. Layers that stay in float32 beside those in eight bits are chosen with prompts of
`woosh.conversion.calibration`, others than these.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from woosh.autoencoder import WooshAutoencoder
from woosh.autoencoder.mel import WooshMelAutoencoder, drawing_noise
from woosh.catalogue import find_model
from woosh.conversion.calibration import (
    Call,
    exact_layers,
    exact_layers_of,
    measured_layers,
    sampled_calls,
)
from woosh.conversion.model_graphs import condition_names, traced_decoder, traced_step
from woosh.conversion.quantisation import quantise
from woosh.generation.graphs import Graph
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.transformer import Condition, WooshTransformer

PROMPTS = ("a dog barking", "glass breaking", "a crowd applauding")
Forms = Mapping[str, Callable[[Any], Tensor]]


def main() -> None:
    """Print a table for each part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", nargs="?", default="woosh-tiny-fast")
    parser.add_argument("--released-blocks", type=int, metavar="N")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    if arguments.released_blocks:
        transformer, calls = released(arguments.released_blocks)
        exact = exact_layers(measured_layers(transformer, calls[::2]))
        compare("step", step_forms(transformer, exact), [calls[1::2]], arguments.rounds)
        return
    sampler = load_sampler(find_model(arguments.model))
    exact = exact_layers_of(sampler)
    print(f"in float32 beside eight bits: {', '.join(exact)}")
    runs = [
        sampled_calls(sampler, [prompt], arguments.seconds, seed)
        for seed, prompt in enumerate(PROMPTS, 3)
    ]
    compare("step", step_forms(sampler.transformer, exact), runs, arguments.rounds)
    latents = sampler.latents(Request(PROMPTS[0], seconds=arguments.seconds, seed=3))
    decoder = decoder_forms(sampler.autoencoder, sampler.settings.latent_doubt)
    compare("decoder", decoder, [[latents]], arguments.rounds)


def released(blocks: int) -> tuple[WooshTransformer, list[Call]]:
    """A network of the released width with random weights, and calls on 501 frames, each twice with other latents."""
    torch.manual_seed(0)
    transformer = WooshTransformer(joint_blocks=blocks, fused_blocks=blocks).eval()
    for parameter in transformer.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    config = transformer.config
    text = torch.randn(1, config.text_tokens, config.text_width)
    condition = transformer.prepare(text, torch.ones(1, config.text_tokens))
    return transformer, [
        (torch.randn(1, config.latent_channels, 501), torch.tensor([moment]), condition)
        for moment in (0.9, 0.9, 0.5, 0.5)
    ]


def step_forms(transformer: WooshTransformer, exact: Sequence[str]) -> Forms:
    """A call of the transformer in each form."""
    half = copy.deepcopy(transformer).bfloat16()

    def network(call: Call) -> Tensor:
        return transformer(*call)

    def in_half(call: Call) -> Tensor:
        latents, moment, condition, *step = call
        parts = (condition.text, condition.video, condition.summary)
        low = Condition(*(None if part is None else part.bfloat16() for part in parts))  # type: ignore[arg-type]
        return half(latents, moment, low, *step)

    names = ("next_time", "guidance") if transformer.config.flow_map else ()

    def graph(own: Graph) -> Callable[[Call], Tensor]:
        def evaluate(call: Call) -> Tensor:
            latents, moment, condition, *step = call
            frames = latents.shape[2]
            whole = nn.functional.pad(latents, (0, -frames % transformer.config.patch_size))
            parts = {name: getattr(condition, name) for name in condition_names(transformer)}
            numbers = dict(zip(names, step, strict=True))
            return own(latents=whole, time=moment, **numbers, **parts)["velocity"][..., :frames]

        return evaluate

    graphs = graphs_of(traced_step(transformer).model(), exact)
    return {
        "torch float32": network,
        "torch bfloat16": in_half,
        **{name: graph(own) for name, own in graphs.items()},
    }


def decoder_forms(autoencoder: Any, doubt: float) -> Forms:
    """The decoder in each form, without the search for phases."""
    traced = traced_decoder(autoencoder, doubt)

    def noise(latents: Tensor) -> list[Tensor]:
        if not isinstance(autoencoder, WooshMelAutoencoder):
            return []
        return [drawing_noise(latents.shape[2], sum(autoencoder.noise_channels))]

    def graph(own: Graph) -> Callable[[Tensor], Tensor]:
        def evaluate(latents: Tensor) -> Tensor:
            named = dict(zip(traced.example, [latents, *noise(latents)], strict=True))
            return own(**named)[traced.outputs[0]]

        return evaluate

    def network(latents: Tensor) -> Tensor:
        if traced.outputs == ("magnitude",) and isinstance(autoencoder, WooshAutoencoder):
            return autoencoder.spectrum(latents).magnitude[0]  # its graph leaves out the phases
        return traced.module(latents, *noise(latents))

    return {
        "torch float32": network,
        **{name: graph(own) for name, own in graphs_of(traced.model()).items()},
    }


def graphs_of(model: Any, exact: Sequence[str] = ()) -> dict[str, Graph]:
    """A graph as it is, and in eight bits."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        graphs = {}
        for name, make in (
            ("ONNX float32", lambda: model),
            ("ONNX int8", lambda: quantise(model, exact)),
        ):
            path.write_bytes(make().SerializeToString())
            graphs[name] = Graph(path)
        return graphs


def compare(part: str, forms: Forms, runs: Sequence[Sequence[Any]], rounds: int) -> None:
    """Print time and ratio of each form in the calls of the first run, and its errors in each run."""
    expected = [[forms["torch float32"](call) for call in run] for run in runs]
    errors = {
        name: [
            statistics.mean(
                float((form(call) - right).norm() / right.norm())
                for call, right in zip(run, rights, strict=True)
            )
            for run, rights in zip(runs, expected, strict=True)
        ]
        for name, form in forms.items()
    }
    calls = runs[0]
    best = {name: [float("inf")] * len(calls) for name in forms}
    for _ in range(rounds):
        for place, call in enumerate(calls):
            for name, form in forms.items():
                before = time.process_time()
                form(call)
                best[name][place] = min(best[name][place], time.process_time() - before)
    for name, times in best.items():
        print(
            f"{part:8} {name:15} {1e3 * statistics.mean(times):8.1f} ms  ratio {sum(times) / sum(best['torch float32']):.2f}  "
            f"error {' '.join(f'{error:.4f}' for error in errors[name])}"
        )


if __name__ == "__main__":
    main()
