"""Networks of published weights: built from settings and tensors by name, strictly.

The settings are named as in the parity fixtures: "model" says which network, the rest are its sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.mobilenet import BLOCKS, HIDDEN, MobileNet, rounded
from woosh.taggers.published_listening import (
    congater_of,
    cp_mobile_of,
    cp_resnet_of,
    deep_snp_of,
    parallel_cp_resnet_of,
)
from woosh.weight_files import UNBUILDABLE, check_tensors, read_tensors

COUNTED = (
    "num_batches_tracked"  # of batch normalisation: whole numbers that evaluation does not read
)
HEADS = {
    "mlp": "mlp",
    "fully_convolutional": "fully_convolutional",
    "multihead_attention_pooling": "attention",
}
MERGES = {"max": "max", "avg": "mean", "add": "sum", "min": "min"}


def mobilenet_of(config: Mapping[str, Any]) -> MobileNet:
    """A MobileNet without weights, from published settings."""
    axes = config.get("se_dims", "c")
    return MobileNet(
        width=config["width"],
        classes=config["num_classes"],
        head=HEADS[config.get("head_type", "mlp")],
        attention_heads=config.get("attention_heads", 4),
        strides=config.get("strides", (2, 2, 2, 2)),
        squeeze_axes="" if axes == "none" else axes,
        squeeze_merge=MERGES[config.get("se_merge", "max")],
        squeeze_divisor=config.get("se_divisor", 4),
        input_size=config.get("input", (128, 1000)),
        reduced_tail=config.get("reduced_tail", False),
        dilated=config.get("dilated", False),
    )


def dynamic_mobilenet_of(config: Mapping[str, Any]) -> DynamicMobileNet:
    """A dynamic MobileNet without weights, from published settings."""
    return DynamicMobileNet(
        width=config["width"],
        classes=config["num_classes"],
        strides=config.get("strides", (2, 2, 2, 2)),
        replace_squeeze=config.get("dynamic_blocks", "all") == "replace_se",
        dynamic_convolution=config.get("dynamic_convolution", True),
        coordinate_attention=config.get("coordinate_attention", True),
    )


BUILDERS: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "MN": mobilenet_of,
    "DyMN": dynamic_mobilenet_of,
    "CP-ResNet": cp_resnet_of,
    "CP-ResNet of the 2019 task 1B team": parallel_cp_resnet_of,
    "CP-Mobile": cp_mobile_of,
    "ConGater on PaSST": congater_of,
    "Deep SNP": deep_snp_of,
}


def from_published(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build a network of the family from its settings and its published tensors.

    `model(mel)` with mel (B, channels, bands, frames) returns logits (B, classes) and features (B, width); a DyMN's kernels
    follow `model.set_temperature(value)`. A ConGater takes `model(mel, controls)`, and a Deep SNP tells `Breaks` of windows.

    Args:
        config: "model", one of `BUILDERS`. Of "MN" and "DyMN" "width", "num_classes" and what differs from the usual of
            "strides", "head_type", "attention_heads", "se_dims", "se_merge", "se_divisor", "input", "reduced_tail",
            "dilated"; of a DyMN "strides", "dynamic_blocks", "dynamic_convolution", "coordinate_attention". Of the others
            what their functions in `woosh.taggers.published_listening` read. Others are not read.
        tensors: by published name; the counters of batch normalisation may be left out.

    Returns:
        The network in evaluation mode, in float32.

    Raises:
        ValueError: an unknown model or setting, or tensors that are missing, left over or misshapen, by name.
    """
    kind = config.get("model")
    if kind not in BUILDERS:
        raise ValueError(f"model is {kind!r}; known are {', '.join(BUILDERS)}")
    try:
        with torch.device("meta"):
            model = BUILDERS[kind](config)
    except KeyError as error:
        raise ValueError(f"the settings of this {kind} lack or do not know {error}") from error
    return fill(model, tensors, f"tensors of this {kind}")


def fill(model: nn.Module, tensors: Mapping[str, Tensor], title: str) -> nn.Module:
    """Put tensors into a network that was built on the meta device, strictly.

    Counters that are not given start at 0, and constants that the network computed itself stay.

    Raises:
        ValueError: tensors that are missing, left over or misshapen, by name.
    """
    own = model.state_dict()
    counters = {n: torch.zeros((), dtype=torch.long) for n in own if n.endswith(COUNTED)}
    constants = {name: value for name, value in own.items() if not value.is_meta}
    counted = {name: value for name, value in tensors.items() if name in counters}
    others = {name: value for name, value in tensors.items() if name not in counters}
    check_tensors(model, others, title, ignored={*counters, *constants})
    model.load_state_dict({**counters, **constants, **counted, **others}, assign=True)
    return model.float().eval()


def load_published(path: str | Path) -> nn.Module:
    """A MobileNet or dynamic MobileNet from a file of published weights (`.pt` or `.safetensors`).

    Kind, width, classes and head are told from the tensors. What these do not tell is as usual: strides of 2, and a
    front end of 128 bands and 10 ms (the published variants with other bands or hops have tensors of the same shapes).

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that cannot be read safely, or tensors of no network of this family.
    """
    tensors = read_tensors(Path(path))
    try:
        return from_published(settings_of(tensors, str(path)), tensors)
    except (ValueError, *UNBUILDABLE) as error:
        raise ValueError(f"{path} cannot be used: {error}") from error


def settings_of(tensors: Mapping[str, Tensor], title: str) -> dict[str, Any]:
    """The settings of the network that tensors belong to, see `from_published`.

    Raises:
        ValueError: of no network of this family.
    """
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    if "features.16.0.weight" in shapes:
        config: dict[str, Any] = {"model": "MN"}
        features, _, _, _ = shapes["features.16.0.weight"]
        if "classifier.5.weight" in shapes:
            hidden, classes = shapes["classifier.2.weight"][0], shapes["classifier.5.weight"][0]
            return config | {"width": hidden / HIDDEN, "num_classes": classes}
        if "classifier.0.weight" in shapes:
            head = {
                "head_type": "fully_convolutional",
                "num_classes": shapes["classifier.0.weight"][0],
            }
            return config | head | {"width": width_of(features, title)}
        if "classifier.subspace_proj.weight" in shapes:
            heads = shapes["classifier.head_weight"][1]
            classes = shapes["classifier.subspace_proj.weight"][0] // (2 * heads)
            head = {"head_type": "multihead_attention_pooling", "attention_heads": heads}
            return config | head | {"num_classes": classes, "width": width_of(features, title)}
    if "out_c.0.weight" in shapes and "classifier.5.weight" in shapes:
        return {
            "model": "DyMN",
            "width": shapes["classifier.2.weight"][0] / HIDDEN,
            "num_classes": shapes["classifier.5.weight"][0],
            "dynamic_blocks": "replace_se" if "layers.0.block.0.0.weight" in shapes else "all",
        }
    raise ValueError(
        f"{title} holds no MobileNet: it has neither features.16.0.weight nor out_c.0.weight with a classifier"
    )


def width_of(features: int, title: str) -> float:
    """The width, a multiple of a tenth, whose networks have so many features.

    Raises:
        ValueError: none has, or the number does not tell: several have it.
    """
    fitting = [n / 10 for n in range(1, 41) if 6 * rounded(BLOCKS[-1].out * n / 10) == features]
    if len(fitting) != 1:
        raise ValueError(f"{title}: {features} features fit {len(fitting)} widths from 0.1 to 4.0")
    return fitting[0]
