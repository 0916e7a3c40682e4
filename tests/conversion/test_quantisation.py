"""Linear layers multiply in eight bits, and nothing else does."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.toys import make_mel_autoencoder
from woosh.autoencoder.mel import drawing_noise
from woosh.conversion.model_graphs import traced_decoder
from woosh.conversion.quantisation import products, quantise, with_turned_weights
from woosh.generation.graphs import Graph

pytest.importorskip("onnxruntime")


def test_a_mel_decoder_in_eight_bits_keeps_its_levels(tmp_path: Path) -> None:
    """Layers of eight drawing steps were not seen, and the components were: magnitudes .19 away, no time gained."""
    autoencoder = make_mel_autoencoder(width=64)
    torch.manual_seed(0)
    torch.nn.init.normal_(autoencoder.detail.contract.weight, std=0.1)
    traced = traced_decoder(autoencoder, 0.1)
    model = traced.model()
    turned = with_turned_weights(model)
    layers = 2 + 2 * len(autoencoder.detail.blocks)  # both ends, and two of each block
    assert len(products(turned)) == 8 * layers
    quick = quantise(model)
    kinds = [node.op_type for node in quick.graph.node]
    assert kinds.count("MatMulInteger") == 8 * layers
    latents = torch.randn(1, 8, 12, generator=torch.Generator().manual_seed(1))
    given = (latents, drawing_noise(12, sum(autoencoder.noise_channels)))
    made = []
    for name, graph in (("whole", model), ("turned", turned), ("quick", quick)):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(graph.SerializeToString())
        named = dict(zip(traced.example, given, strict=True))
        made.append(Graph(path)(**named)[traced.outputs[0]].numpy())
    whole, same, eight = made
    np.testing.assert_allclose(same, whole, rtol=1e-4, atol=1e-6)
    assert 0 < np.linalg.norm(eight - whole) < 0.02 * np.linalg.norm(whole)


def test_a_graph_without_layers_to_choose_stays_as_it_is() -> None:
    """To ONNX Runtime an empty list of nodes means all of them."""
    model = traced_decoder(make_mel_autoencoder(), 0.1).model()
    kept = quantise(model, exact=("detail",))
    assert {node.op_type for node in kept.graph.node} >= {"MatMul"}
    assert "MatMulInteger" not in {node.op_type for node in kept.graph.node}
