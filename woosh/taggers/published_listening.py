"""Networks of restricted field, gates and break points, built without weights from published settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from woosh.taggers.breakpoints import DeepSnp
from woosh.taggers.congater import ConGater
from woosh.taggers.cp_mobile import CpMobile
from woosh.taggers.cp_resnet import CpResNet
from woosh.taggers.fields import Axis, ConvolutionForm, Fields, wide_kernels
from woosh.taggers.passt import Passt

FULL = (4, 4, 4)  # blocks of a whole CP-ResNet
DAMPED, DAMPED_AND_PRUNED = 0.01, 0.1  # weight of the edges of damped kernels
NARROWER = 4  # of decomposed convolutions
FORMS: dict[str, tuple[ConvolutionForm, float]] = {  # and damping along frequency
    "resnet": (ConvolutionForm(), 1.0),
    "DIR": (ConvolutionForm(), 1.0),
    "faresnet": (ConvolutionForm(coordinates=True), 1.0),
    "resnet_freq_damp": (ConvolutionForm(), DAMPED),
    "resnet_decomp": (ConvolutionForm(decomposition=NARROWER), 1.0),
    "resnet_decomp_freq_damp": (ConvolutionForm(decomposition=NARROWER), DAMPED),
    "resnet_df_prune": (ConvolutionForm(prunable=True), DAMPED_AND_PRUNED),
}
CONVOLUTIONS = 2  # convolutions of a block


def kept_kernels(rho: int, removed: Sequence[int]) -> tuple[int, ...]:
    """Kernels of the blocks that are left when the last ones of each stage are removed."""
    kernels, kept = wide_kernels(rho, CONVOLUTIONS * sum(FULL)), []
    for stage, (count, gone) in enumerate(zip(FULL, removed, strict=True)):
        start = CONVOLUTIONS * sum(FULL[:stage])
        kept += kernels[start : start + CONVOLUTIONS * (count - gone)]
    return tuple(kept)


def kept_blocks(removed: Sequence[int]) -> tuple[int, ...]:
    """Blocks of the stages that are left.

    Raises:
        ValueError: more are removed than there are, or not of three stages.
    """
    if len(removed) != len(FULL) or not all(
        0 <= gone <= count for gone, count in zip(removed, FULL, strict=True)
    ):
        raise ValueError(f"removed is {list(removed)}; it must be three numbers from 0 to 4")
    return tuple(count - gone for count, gone in zip(FULL, removed, strict=True))


def axis_of(
    rho: int, removed: Sequence[int], halved_after: Sequence[int], damping: float = 1.0
) -> Axis:
    """What restricts the field along one axis, of a network that lacks the last blocks of its stages."""
    return Axis(kept_kernels(rho, removed), 1, halved_after, damping)


def cp_resnet_of(config: Mapping[str, Any]) -> CpResNet:
    """A CP-ResNet without weights; pools stand after blocks of the first stage.

    Raises:
        KeyError: an unknown variant.
    """
    form, damping = FORMS[config["variant"]]
    removed = config.get("removed") or (0, 0, 0)
    blocks, rho = kept_blocks(removed), config["rho"]
    pooled = [block for block in config["pools_after"] if block <= blocks[0]]
    sizes = config.get("pool", (2, 2))
    frequency, time = (pooled if size == 2 else () for size in sizes)
    return CpResNet(
        config["width"],
        config["channels"],
        config["classes"],
        Fields(blocks, axis_of(rho, removed, frequency, damping), axis_of(rho, removed, time)),
        form,
    )


def parallel_cp_resnet_of(config: Mapping[str, Any]) -> CpResNet:
    """The CP-ResNet of parallel recordings, whose stages name their kernels and pools one by one."""
    kernels, pooled = [], []
    for stage, count in enumerate(config["blocks"]):
        named = config[f"stage{stage + 1}"]
        pooled += [sum(config["blocks"][:stage]) + block for block in named["maxpool"]]
        for block in range(count):
            kernels += [named["k1s"][block], named["k2s"][block]]
    axis = Axis(kernels, 1, pooled)
    fields = Fields(config["blocks"], axis, axis)
    return CpResNet(config["width"], config["channels"], config["classes"], fields)


def cp_mobile_of(config: Mapping[str, Any]) -> CpMobile:
    """A CP-Mobile without weights."""
    return CpMobile(
        config["base"],
        config["multiplier"],
        config["expansion"],
        config["blocks"],
        {int(name.removeprefix("b")): stride for name, stride in config["strides"].items()},
        config["channels"],
        config["classes"],
    )


def congater_of(config: Mapping[str, Any]) -> ConGater:
    """A ConGater without weights."""
    sizes = config["passt"]
    bands, frames = sizes["input"]
    passt = Passt(
        width=sizes["width"],
        depth=sizes["depth"],
        heads=sizes["heads"],
        stride=sizes["stride"],
        frames=frames,
        classes=sizes["classes"],
        bands=bands,
    )
    return ConGater(passt, config["domains"], config["gate"], config["place"])


def deep_snp_of(config: Mapping[str, Any]) -> DeepSnp:
    """A Deep SNP without weights, of version 1 or 2."""
    return DeepSnp(config["margin"], config["classes"], strided=config["version"] == 2)
