"""Graphs whose large matrix products are of whole numbers of eight bits."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

SCOPES = "name_scopes"  # the end of the name under which the exporter keeps a node's module
LINEAR = re.compile(r"'linear(_\d+)?'\]$")  # the end of these, where the node is a linear layer


def quantise(model: onnx.ModelProto, exact: Sequence[str] = ()) -> onnx.ModelProto:
    """A graph with products of tokens and weights in eight bits, by ONNX Runtime's dynamic quantisation.

    Weights have a scale for each column, activations one for all, found anew in every call: nothing is calibrated. Products
    of one vector (of times), convolutions and what is no linear layer stay as they are, and so do modules whose names hold
    one of `exact`.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = with_turned_weights(model)
    chosen = products(model, exact)
    if not chosen:  # an empty list would mean all of them
        return model
    with tempfile.TemporaryDirectory() as folder, quiet_quantiser():
        path = Path(folder) / "quantised.onnx"
        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=chosen,
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(path)


def with_turned_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph that holds a weight as its product takes it.

    The exporter leaves weights that several products share as their layers have them, and turns them by a node.
    """
    import onnx
    from onnx import numpy_helper

    turned = onnx.ModelProto()
    turned.CopyFrom(model)
    graph = turned.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = [
        node for node in graph.node if node.op_type == "Transpose" and node.input[0] in weights
    ]
    for node in nodes:
        weight = numpy_helper.to_array(weights[node.input[0]])
        order = next((list(entry.ints) for entry in node.attribute if entry.name == "perm"), None)
        graph.initializer.append(
            numpy_helper.from_array(weight.transpose(order).copy(), node.output[0])
        )
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for name in weights.keys() - used:
        graph.initializer.remove(weights[name])
    return turned


def products(model: onnx.ModelProto, exact: Sequence[str] = ()) -> list[str]:
    """Names of the nodes that are linear layers of tokens, but for those of `exact`.

    A product with a table, such as that of principal components, is none: what it gives may be the logarithm of what is heard.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    found = []
    for node in model.graph.node:
        scopes = [e.value for e in node.metadata_props if e.key.endswith(SCOPES)]
        linear = any(LINEAR.search(scope) for scope in scopes)
        left = any(layer in scope for scope in scopes for layer in exact)
        if node.op_type == "MatMul" and node.input[1] in weights and linear and not left:
            found.append(node.name)
    return found


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
