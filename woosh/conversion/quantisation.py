"""Graphs whose large matrix products are of whole numbers of eight bits."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

SCOPES = "name_scopes"  # the end of the name under which the exporter keeps a node's module


def quantise(model: onnx.ModelProto, exact: Sequence[str] = ()) -> onnx.ModelProto:
    """A graph with products of tokens and weights in eight bits, by ONNX Runtime's dynamic quantisation.

    Weights have a scale for each column, activations one for all, found anew in every call: nothing is calibrated. Products
    of one vector (of times) and convolutions stay as they are, and so do those of modules whose names hold one of `exact`.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, quiet_quantiser():
        path = Path(folder) / "quantised.onnx"
        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=products(model, exact),
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(path)


def products(model: onnx.ModelProto, exact: Sequence[str] = ()) -> list[str]:
    """Names of the nodes that multiply tokens with weights, but for those of `exact`."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul"
        and node.input[1] in weights
        and not any(
            layer in entry.value
            for entry in node.metadata_props
            if entry.key.endswith(SCOPES)
            for layer in exact
        )
    ]


@contextmanager
def quiet_quantiser() -> Iterator[None]:
    """Keep the advice to run other tools first from the user."""
    log = logging.getLogger()
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
