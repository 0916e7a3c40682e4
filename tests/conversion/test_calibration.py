"""The choice of layers that stay in float32: what is measured is what graphs do, and the choice follows it."""

import statistics
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tests.toys import save_pipeline
from woosh.conversion.calibration import (
    INTERVALS,
    PROMPTS,
    Call,
    Layer,
    error_of,
    exact_layers,
    exact_layers_of,
    measured_layers,
    rounded_activations,
    rounded_weights,
    sampled_calls,
)
from woosh.conversion.model_graphs import condition_names, traced_step
from woosh.conversion.quantisation import products, quantise
from woosh.generation.graphs import Graph
from woosh.generation.loading import load_sampler
from woosh.generation.sampling import Sampler
from woosh.generation.transformer import WooshTransformer

FOUND = {
    "cheap": Layer(0.1, (0.02, 0.04)),
    "dear": Layer(0.6, (0.03, 0.06)),
    "small": Layer(0.3, (0.001, 0.002)),
}


@pytest.fixture(scope="module")
def sampler(tmp_path_factory: pytest.TempPathFactory) -> Sampler:
    """Of many steps, so with guidance."""
    return load_sampler(save_pipeline(tmp_path_factory.mktemp("models") / "toy", max_frames=100))


@pytest.fixture(scope="module")
def calls(sampler: Sampler) -> list[Call]:
    return sampled_calls(sampler, PROMPTS[:2], 0.2)


def velocity_of(graph: Graph, transformer: WooshTransformer, call: Call) -> torch.Tensor:
    latents, time, condition = call
    frames = latents.shape[2]
    latents = F.pad(latents, (0, -frames % transformer.config.patch_size))
    parts = {name: getattr(condition, name) for name in condition_names(transformer)}
    return graph(latents=latents, time=time, **parts)["velocity"][..., :frames]


def test_what_is_measured_is_what_a_graph_does(
    sampler: Sampler, calls: list[Call], tmp_path: Path
) -> None:
    """One layer in eight bits, and all of them: errors add up as squares do."""
    transformer = sampler.transformer
    layers = measured_layers(transformer, calls)
    model = traced_step(transformer).model()
    assert len(products(model)) == len(layers)
    assert sum(layer.work for layer in layers.values()) == pytest.approx(1)
    for alone in ("joint.0.audio.feed_forward.expand", "fused.0.out", None):
        exact = [name for name in layers if alone not in (None, name)]
        path = tmp_path / f"{alone}.onnx"
        path.write_bytes(quantise(model, exact).SerializeToString())
        graph, errors = Graph(path), []
        for call in calls:
            expected = transformer(*call).detach()
            found = velocity_of(graph, transformer, call)
            errors.append(float((found - expected).norm() / expected.norm()))
        tolerance = 0.05 if alone else 0.3
        assert statistics.mean(errors) == pytest.approx(error_of(layers, exact), rel=tolerance)


def test_calls_lie_evenly_over_the_steps(sampler: Sampler, calls: list[Call]) -> None:
    times = [float(time[0]) for _, time, _ in calls]
    assert len(calls) % 2 == 0 and len(calls) // 2 in (sampler.steps, INTERVALS + 1)
    assert times[: len(times) // 2] == times[len(times) // 2 :] == sorted(times, reverse=True)[::2]


def test_a_layer_with_an_outlier_stays_exact(sampler: Sampler) -> None:
    """An output that is a thousand times as large as others coarsens the levels of what follows it."""
    layer = sampler.transformer.get_submodule("fused.0.out")
    channel = sampler.transformer.get_submodule("fused.0.expand").bias[-1]
    with torch.no_grad():
        assert "fused.0.out" not in exact_layers_of(sampler)
        kept = channel.clone(), layer.weight[:, -1].clone()
        channel.fill_(1e3)
        layer.weight[:, -1] = 0
        try:
            assert "fused.0.out" in exact_layers_of(sampler)
        finally:
            channel.copy_(kept[0])
            layer.weight[:, -1] = kept[1]


def test_layers_are_chosen_by_what_they_gain_for_their_work() -> None:
    assert exact_layers(FOUND, goal=0.1, most_work=1) == ()
    assert exact_layers(FOUND, goal=0.05, most_work=1) == ("cheap",)
    assert exact_layers(FOUND, goal=0.01, most_work=1) == ("cheap", "dear")
    assert exact_layers(FOUND, goal=0.01, most_work=0.5) == (
        "cheap",
        "small",
    )  # the other is too dear
    assert exact_layers(FOUND, goal=0, most_work=1) == ("cheap", "dear", "small")
    assert error_of(FOUND, ("small",)) == pytest.approx((0.0013**0.5 + 0.0052**0.5) / 2)
    assert error_of(FOUND, FOUND) == 0


def test_levels_are_those_of_eight_bits() -> None:
    x = torch.linspace(-1, 3, 1001)[None, None]
    found = rounded_activations(x)
    assert len(found.unique()) == 256 and 0 in found
    assert (found - x).abs().max() <= 4 / 255 * 0.51
    assert torch.equal(rounded_activations(torch.zeros(1, 2, 3)), torch.zeros(1, 2, 3))
    weight = torch.tensor([[127.0, 3.3, -64.2], [0.0, 0.0, 0.0]])
    expected = torch.tensor([[127.0, 3.0, -64.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(rounded_weights(weight), expected)
