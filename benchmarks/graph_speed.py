"""Time and error of a generator's parts as networks of torch and as ONNX graphs, in turns.

    OMP_NUM_THREADS=1 python benchmarks/graph_speed.py woosh-tiny-fast
    OMP_NUM_THREADS=1 python benchmarks/graph_speed.py --released-blocks 3

The second has the released width and so many joint and as many fused blocks of random weights, and makes no sound. Errors are
the mean over the steps of |v - v'| / |v| on the latents of a run; times are processor seconds, best of all rounds.
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
from woosh.conversion.model_graphs import (
    condition_names,
    exact_layers,
    traced_decoder,
    traced_step,
)
from woosh.conversion.quantisation import quantise
from woosh.generation.graphs import Graph
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.transformer import Condition, WooshTransformer

Call = tuple[Tensor, Tensor, Condition, tuple[Tensor, ...]]
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
        compare("step", step_forms(transformer), calls, arguments.rounds)
        return
    sampler = load_sampler(find_model(arguments.model))
    calls: list[Call] = []
    network = sampler.transformer.forward

    def keep(latents: Tensor, moment: Tensor, condition: Condition, *step: Tensor) -> Tensor:
        calls.append((latents, moment, condition, step))
        return network(latents, moment, condition, *step)

    sampler.transformer.forward = keep  # type: ignore[method-assign]
    latents = sampler.latents(Request("a dog barking", seconds=arguments.seconds, seed=3))
    sampler.transformer.forward = network  # type: ignore[method-assign]
    calls = calls[:: max(1, len(calls) // 4)]
    compare("step", step_forms(sampler.transformer), calls, arguments.rounds)
    decoder = decoder_forms(sampler.autoencoder, sampler.settings.latent_doubt)
    compare("decoder", decoder, [latents], arguments.rounds)


def released(blocks: int) -> tuple[WooshTransformer, list[Call]]:
    """A network of the released width with random weights, and a call on 501 frames."""
    torch.manual_seed(0)
    transformer = WooshTransformer(joint_blocks=blocks, fused_blocks=blocks).eval()
    for parameter in transformer.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    config = transformer.config
    text = torch.randn(1, config.text_tokens, config.text_width)
    condition = transformer.prepare(text, torch.ones(1, config.text_tokens))
    latents = torch.randn(1, config.latent_channels, 501)
    return transformer, [(latents, torch.tensor([moment]), condition, ()) for moment in (0.9, 0.5)]


def step_forms(transformer: WooshTransformer) -> Forms:
    """A call of the transformer in each form."""
    half = copy.deepcopy(transformer).bfloat16()

    def network(call: Call) -> Tensor:
        latents, moment, condition, step = call
        return transformer(latents, moment, condition, *step)

    def in_half(call: Call) -> Tensor:
        latents, moment, condition, step = call
        parts = (condition.text, condition.video, condition.summary)
        low = Condition(*(None if part is None else part.bfloat16() for part in parts))  # type: ignore[arg-type]
        return half(latents, moment, low, *step)

    names = ("next_time", "guidance") if transformer.config.flow_map else ()

    def graph(own: Graph) -> Callable[[Call], Tensor]:
        def evaluate(call: Call) -> Tensor:
            latents, moment, condition, step = call
            frames = latents.shape[2]
            whole = nn.functional.pad(latents, (0, -frames % transformer.config.patch_size))
            parts = {name: getattr(condition, name) for name in condition_names(transformer)}
            numbers = dict(zip(names, step, strict=True))
            return own(latents=whole, time=moment, **numbers, **parts)["velocity"][..., :frames]

        return evaluate

    graphs = graphs_of(traced_step(transformer).model(), exact_layers(transformer))
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


def compare(part: str, forms: Forms, calls: Sequence[Any], rounds: int) -> None:
    """Print time, ratio and error of each form."""
    found = {name: [form(call) for call in calls] for name, form in forms.items()}
    expected = found["torch float32"]
    best = {name: [float("inf")] * len(calls) for name in forms}
    for _ in range(rounds):
        for place, call in enumerate(calls):
            for name, form in forms.items():
                before = time.process_time()
                form(call)
                best[name][place] = min(best[name][place], time.process_time() - before)
    for name, times in best.items():
        errors = [
            float((own - right).norm() / right.norm())
            for own, right in zip(found[name], expected, strict=True)
        ]
        print(
            f"{part:8} {name:15} {1e3 * statistics.mean(times):8.1f} ms  ratio {sum(times) / sum(best['torch float32']):.2f}  "
            f"error {statistics.mean(errors):.4f} ({' '.join(f'{error:.4f}' for error in errors)})"
        )


if __name__ == "__main__":
    main()
