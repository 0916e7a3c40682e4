"""Taggers as ONNX graphs, for programs without torch: audio or log-mel in, logits and features out.

The graph is of the same network in operations that ONNX has for any number of clips of any length. Kernels that follow
each clip become fixed kernels, mixed afterwards, and the transform of the front end becomes a convolution.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from woosh.catalogue import find_tagger
from woosh.command_line import missing_extra
from woosh.taggers.dynamic_mobilenet import (
    KERNELS,
    DynamicBlock,
    DynamicConvolution,
    DynamicMobileNet,
)
from woosh.taggers.labels import read_labels
from woosh.taggers.log_mel import LOG_FLOOR, PRE_EMPHASIS, LogMel, scale
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.published import load_published
from woosh.taggers.tagger import load_tagger

EXAMPLE_FRAMES = 200  # of the input that the network is traced with


class MixedConvolution(nn.Module):
    """A `DynamicConvolution` without kernels that differ within a batch, which ONNX does not have.

    A convolution with a mixture of kernels is the mixture of the convolutions; one of single places is a matrix product.
    """

    def __init__(self, convolution: DynamicConvolution) -> None:
        super().__init__()
        self.convolution = convolution

    def attention(self, context: Tensor, temperature: float) -> Tensor:
        """How much of each kernel (B, 4), from the context (B, H)."""
        return self.convolution.attention(context, temperature)

    def forward(self, x: Tensor, attention: Tensor, stride: int = 1) -> Tensor:
        after, kernel = self.convolution.after, self.convolution.kernel
        weight = self.convolution.weight[0, 0]  # (4, values of a kernel)
        if not self.convolution.depthwise:
            kernels = (attention @ weight).unflatten(1, (after, -1))  # (B, after, before)
            return (kernels @ x.flatten(2)).unflatten(2, x.shape[2:])
        # The four kernels of a channel side by side: (4 C, 1, k, k)
        kernels = weight.unflatten(1, (after, 1, kernel, kernel)).transpose(0, 1).flatten(0, 1)
        each = functional.conv2d(x, kernels, stride=stride, padding=kernel // 2, groups=after)
        weighed = each.unflatten(1, (after, KERNELS)) * attention[:, None, :, None, None]
        return weighed.sum(dim=2)


class ConvolutionalLogMel(nn.Module):
    """A `LogMel` whose transform is a convolution with the sines and cosines of the bins that a mel band has.

    Audio must be longer than half a transform: (B, S) with S at least `shortest`.
    """

    waves: Tensor
    filters: Tensor

    def __init__(self, front_end: LogMel) -> None:
        super().__init__()
        self.hop_length, self.reflected = front_end.hop_length, front_end.window_length // 2
        self.shortest = front_end.n_fft // 2 + 2
        bins = front_end.filters.any(dim=0).nonzero()[:, 0]  # those that a band has
        samples = torch.arange(front_end.window_length, dtype=torch.float64)
        phase = 2 * math.pi / front_end.n_fft * bins[:, None] * samples
        waves = torch.cat([phase.cos(), phase.sin()]) * front_end.window.double()
        self.register_buffer("waves", waves.float()[:, None])  # (2 bins, 1, window)
        self.register_buffer("filters", front_end.filters[:, bins])

    def forward(self, audio: Tensor) -> Tensor:
        """Audio (B, S) -> log-mel (B, bands, T)."""
        emphasised = (audio[:, 1:] - PRE_EMPHASIS * audio[:, :-1])[:, None]
        padded = functional.pad(emphasised, (self.reflected, self.reflected), mode="reflect")
        spectrum = functional.conv1d(padded, self.waves, stride=self.hop_length)
        cosine, sine = spectrum.chunk(2, dim=1)  # (B, bins, T) each
        return scale(torch.log(self.filters @ (cosine.square() + sine.square()) + LOG_FLOOR))


class TaggerGraph(nn.Module):
    """What is exported: audio (B, S), or log-mel (B, 1, bands, T) without a front end -> logits, features."""

    def __init__(self, network: MobileNet | DynamicMobileNet, front_end: LogMel | None) -> None:
        super().__init__()
        self.network = without_mixed_kernels(network)
        self.front_end = None if front_end is None else ConvolutionalLogMel(front_end)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_mel = x if self.front_end is None else self.front_end(x)[:, None]
        logits, features = self.network(log_mel)
        return logits, features


def without_mixed_kernels(network: MobileNet | DynamicMobileNet) -> nn.Module:
    """A copy of a network that computes the same with `MixedConvolution`."""
    network = copy.deepcopy(network).eval()
    for block in network.modules():
        if isinstance(block, DynamicBlock):
            for name in ("exp_conv", "depth_conv", "proj_conv"):
                convolution = getattr(block, name)
                if isinstance(convolution, DynamicConvolution):
                    setattr(block, name, MixedConvolution(convolution))
    return network


def export_onnx(
    network: MobileNet | DynamicMobileNet,
    path: str | Path,
    front_end: LogMel | None = None,
    labels: Sequence[str] = (),
) -> None:
    """Write a network as one ONNX file.

    The input is "audio" (batch, samples), mono, at the front end's rate and at least `n_fft // 2 + 2` samples long (fill a
    shorter clip up with zeros), or "log_mel" (batch, 1, bands, frames). The outputs are "logits" (batch, classes) and
    "features" (batch, feature width). Batch and length are free. The file's metadata hold "labels", a JSON list, and
    "sample_rate", "hop_length" and "bands" of the front end.

    Args:
        network: with a head; a dynamic one keeps its temperature.
        path: of the file; an earlier one is replaced.
        front_end: part of the graph; None for a graph that takes log-mel.
        labels: of the classes, in order; none are written if they are not given.

    Raises:
        ImportError: the extra `onnx` is not installed.
        ValueError: a network without a head, or of a fixed length, or another number of labels.
    """
    if find_spec("onnxscript") is None:
        raise missing_extra("ONNX files need onnxscript", "onnx")
    classes = network.config.classes
    if classes is None:
        raise ValueError("the network has no head: there is nothing to name what it hears")
    if "t" in getattr(network.config, "squeeze_axes", ""):
        raise ValueError("squeeze-and-excitation over time fixes the length: it cannot be exported")
    if labels and len(labels) != classes:
        raise ValueError(f"{len(labels)} labels, but the network has {classes} classes")
    front = front_end or LogMel()
    if front_end is None:
        bands = 128 if isinstance(network, DynamicMobileNet) else network.config.input_size[0]
        example, name = torch.zeros(2, 1, bands, EXAMPLE_FRAMES), "log_mel"
        length = {3: torch.export.Dim("frames", min=1)}
    else:
        example, name = torch.zeros(2, EXAMPLE_FRAMES * front.hop_length), "audio"
        length = {1: torch.export.Dim("samples", min=front.n_fft // 2 + 2)}
    with quiet_exporter():
        program = torch.onnx.export(
            TaggerGraph(network, front_end).eval().requires_grad_(False),
            (example,),
            dynamo=True,
            verbose=False,
            input_names=[name],
            output_names=["logits", "features"],
            dynamic_shapes=({0: torch.export.Dim("batch"), **length},),
        )
    assert program is not None
    known = {"labels": json.dumps(list(labels))} if labels else {}
    if front_end is not None:
        known |= {n: str(getattr(front_end, n)) for n in ("sample_rate", "hop_length", "bands")}
    program.model.metadata_props.update(known)
    program.save(path, external_data=False)


def export_tagger(
    source: str, target: Path, *, takes_log_mel: bool = False, labels: Path | None = None
) -> None:
    """Write a tagger as an ONNX file, see `export_onnx`.

    Args:
        source: built-in tagger, a tagger's folder, or a file of published weights, which has the usual front end.
        target: file to write.
        takes_log_mel: leave the front end out.
        labels: file of the classes' names, to be written into the file; a folder has its own.

    Raises:
        FileNotFoundError: a file that is not there.
        ImportError: the extra `onnx` is not installed.
        ValueError: a file that holds no tagger, or labels that do not fit.
    """
    place = find_tagger(source)
    network: Any
    if place.is_dir():
        tagger = load_tagger(place, labels)
        network, front_end, words = tagger.network, tagger.log_mel, tagger.labels
        if not isinstance(network, MobileNet | DynamicMobileNet):
            raise ValueError(
                f"{place} is a {type(network).__name__}: ONNX files are made of MobileNets alone"
            )
    else:
        network, front_end = load_published(place), LogMel()
        words = () if labels is None else read_labels(labels)
    export_onnx(network, target, None if takes_log_mel else front_end, words)


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep torch's remarks about packages that are not needed, and about itself, from the user."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
