"""The way from spectra to audio in operations that ONNX has: `woosh.autoencoder.phases.retrieve_phases` as a graph.

The transforms of its windows are two matrix products each, with a turn between them (Cooley and Tukey 1965, N = a b):

    X[k1 + a k2] = sum over n2 of exp(-2 pi i n2 (k1 + a k2) / N) sum over n1 of exp(-2 pi i n1 k1 / a) x[b n1 + n2]

which takes an eighth of the products of a matrix of all bins. Spectra lie as (T, a, 2 K): for each k1 the real, then the
imaginary parts of its K = b / 2 + 1 numbers k2; those beyond the last bin are 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from woosh.autoencoder.phases import ITERATIONS, NO_DIRECTION, PULL, REFINEMENT, SILENCE

if TYPE_CHECKING:
    import onnx


class PhaseSearch(nn.Module):
    """Magnitudes (F, T) and noise -> audio (hop (T - 1),), as `retrieve_phases` without a circle.

    Args:
        n_fft: samples of a window, 2 (F - 1), of which the hop is a part.
        hop_length: samples for each frame of the magnitudes.
    """

    window: Tensor
    first: Tensor
    turn: Tensor
    second: Tensor
    count: Tensor
    order: Tensor

    def __init__(self, n_fft: int, hop_length: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop_length // REFINEMENT
        self.outer, self.inner = factors(n_fft)
        kept = self.inner // 2 + 1
        n1, n2, k1, k2 = (
            torch.arange(count, dtype=torch.float64)
            for count in (self.outer, self.inner, self.outer, kept)
        )
        bins = k1[:, None] + self.outer * k2  # (a, K)
        # How often a bin counts in the inverse: its mirror image is not kept, but for the first and the last bin.
        own = (bins == 0) | (bins == n_fft // 2)
        count = torch.where(own, 1.0, 2.0) * (bins <= n_fft // 2) / n_fft
        angle = 2 * math.pi * torch.outer(n1, k1) / self.outer
        turn = 2 * math.pi * torch.outer(n2, k1) / n_fft
        inner = 2 * math.pi * torch.outer(n2, k2) / self.inner
        constants = {
            "window": torch.hann_window(n_fft, dtype=torch.float64),
            "first": torch.cat([angle.cos(), -angle.sin()], dim=1),  # (a, 2 a)
            "turn": torch.stack([turn.cos(), -turn.sin()]),  # (2, b, a)
            "second": real_form(torch.polar(torch.ones_like(inner), -inner)),  # (2 b, 2 K)
            "count": torch.cat([count, count], dim=1),  # (a, 2 K)
        }
        for name, value in constants.items():
            self.register_buffer(name, value.float())
        self.register_buffer("order", bins.long().clamp_max(n_fft // 2).flatten())

    def forward(self, magnitude: Tensor, noise: Tensor) -> Tensor:
        """Audio (hop (T - 1),) of magnitudes (F, T) and standard normal noise (hop T,) from a generator with seed 0."""
        fine, envelope, spectrum = self.start(magnitude, noise)
        previous, audio = torch.zeros_like(spectrum), noise
        for _ in range(ITERATIONS + 1):
            (spectrum, audio), previous = self.step(fine, envelope, spectrum, previous), spectrum
        return audio[: -REFINEMENT * self.hop]

    def start(self, magnitude: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Fine magnitudes (T', a, 2 K), the envelope of the windows and the noise's spectrum; T' is 2 T + 1."""
        fine = self.refined(magnitude)
        squares = self.window.square().expand(fine.shape[0], -1)
        return fine, overlap_added(squares, self.hop), self.analyse(noise)

    def step(
        self, fine: Tensor, envelope: Tensor, spectrum: Tensor, previous: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The next spectrum, and the audio (hop T,) that it is of."""
        audio = self.synthesise(spectrum, previous, fine) / envelope
        return self.analyse(audio), audio

    def refined(self, magnitude: Tensor) -> Tensor:
        """As `woosh.autoencoder.phases.refined`: (F, T) -> (T', a, 2 K)."""
        level = magnitude.T[:, self.order].clamp_min(SILENCE).log()  # (T, a K)
        following = torch.cat([level[1:], level[-1:]])
        between = torch.stack([level, (level + following) / 2], dim=1).flatten(0, 1)
        fine = torch.cat([between, level[-1:]]).exp().unflatten(1, (self.outer, -1))
        return torch.cat([fine, fine], dim=2) * (self.count > 0)

    def analyse(self, audio: Tensor) -> Tensor:
        """Audio (hop' (T' - 1),) -> spectrum (T', a, 2 K)."""
        half, parts = self.n_fft // 2, self.n_fft // self.hop
        around = functional.pad(audio[None, None], (half, half), mode="reflect")[0, 0]
        rows = around.unflatten(0, (-1, self.hop))
        count = rows.shape[0] - parts + 1
        windows = torch.cat([rows[part : part + count] for part in range(parts)], dim=1)
        lines = (windows * self.window).unflatten(1, (self.outer, self.inner)).transpose(1, 2)
        real, imaginary = (lines @ self.first).chunk(2, dim=2)  # (T', b, a)
        cosine, sine = self.turn[0], self.turn[1]
        turned = (real * cosine - imaginary * sine, real * sine + imaginary * cosine)
        return torch.cat(turned, dim=1).transpose(1, 2) @ self.second

    def synthesise(self, spectrum: Tensor, previous: Tensor, fine: Tensor) -> Tensor:
        """The sum (hop' (T' - 1),) of windows of fine magnitudes and a spectrum's phases, pulled away from the one before."""
        direction = spectrum - PULL * previous
        real, imaginary = direction.chunk(2, dim=2)
        size = (real * real + imaginary * imaginary).sqrt().clamp_min(NO_DIRECTION)
        whole = direction * fine / torch.cat([size, size], dim=2) * self.count
        real, imaginary = (whole @ self.second.T).chunk(2, dim=2)  # (T', a, b)
        cosine, sine = self.turn[0].T, self.turn[1].T
        turned = (real * cosine + imaginary * sine, imaginary * cosine - real * sine)
        lines = torch.cat(turned, dim=1).transpose(1, 2) @ self.first.T  # (T', b, a)
        return overlap_added(lines.transpose(1, 2).flatten(1) * self.window, self.hop)


class InverseTransform(nn.Module):
    """Real and imaginary parts (F, T) of an STFT with periodic Hann windows -> audio (hop (T - 1),), as `torch.istft`."""

    matrix: Tensor
    squares: Tensor

    def __init__(self, n_fft: int, hop_length: int) -> None:
        super().__init__()
        self.hop = hop_length
        bins, samples = (torch.arange(n, dtype=torch.float64) for n in (n_fft // 2 + 1, n_fft))
        angle = 2 * math.pi * torch.outer(bins, samples) / n_fft
        count = torch.where((bins == 0) | (bins == n_fft // 2), 1.0, 2.0)[:, None] / n_fft
        window = torch.hann_window(n_fft, dtype=torch.float64)
        waves = torch.cat([angle.cos() * count, -angle.sin() * count]) * window
        self.register_buffer("matrix", waves.float())  # (2 F, N)
        self.register_buffer("squares", window.square().float())

    def forward(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Audio (hop (T - 1),)."""
        windows = torch.cat([real, imaginary]).T @ self.matrix  # (T, N)
        envelope = overlap_added(self.squares.expand(windows.shape[0], -1), self.hop)
        return overlap_added(windows, self.hop) / envelope


def factors(count: int) -> tuple[int, int]:
    """Two whole numbers a and b, b even, whose product is an even `count`, as near to each other as they can be."""
    pairs = [(count // b, b) for b in range(2, count + 1, 2) if count % b == 0]
    return min(pairs, key=sum)


def real_form(matrix: Tensor) -> Tensor:
    """The real matrix (2 m, 2 n) that multiplies rows of real, then imaginary parts as a complex one (m, n) does."""
    upper = torch.cat([matrix.real, matrix.imag], dim=1)
    return torch.cat([upper, torch.cat([-matrix.imag, matrix.real], dim=1)])


def overlap_added(windows: Tensor, hop: int) -> Tensor:
    """Windows (T, N) every `hop` samples -> (hop (T - 1),): the sum without what its ends reach beyond the middles."""
    count = windows.shape[1]
    parts = count // hop
    rows = windows.unflatten(1, (parts, hop))
    total = functional.pad(rows[:, 0], (0, 0, 0, parts - 1))
    for part in range(1, parts):
        total = total + functional.pad(rows[:, part], (0, 0, part, parts - 1 - part))
    return total.flatten()[count // 2 : -(count // 2)]


def looped(start: onnx.ModelProto, step: onnx.ModelProto, cut: int) -> onnx.ModelProto:
    """The search as one graph: what `PhaseSearch.start` gives, then `PhaseSearch.step` again and again.

    Args:
        start: graph of the former, which stays as it is.
        step: graph of the latter, with inputs and outputs of the same names.
        cut: samples to leave out at the end.
    """
    import onnx
    from onnx import TensorProto, helper

    body = onnx.compose.add_prefix(step, "step_").graph
    state = ("spectrum", "previous", "audio")
    inputs = [
        helper.make_tensor_value_info("step_number", TensorProto.INT64, []),
        helper.make_tensor_value_info("step_on", TensorProto.BOOL, []),
        *(helper.make_tensor_value_info(f"step_{name}", TensorProto.FLOAT, None) for name in state),
    ]
    named = {"step_fine": "fine", "step_envelope": "envelope"}
    for node in body.node:
        for place, name in enumerate(node.input):
            node.input[place] = named.get(name, name)
    kept = [
        helper.make_node("Identity", ["step_on"], ["step_goes_on"]),
        helper.make_node("Identity", ["step_spectrum"], ["step_former"]),
    ]
    given = ("step_goes_on", "step_next", "step_former", "step_sound")
    kinds = (TensorProto.BOOL, *[TensorProto.FLOAT] * 3)
    outputs = [
        helper.make_tensor_value_info(name, kind, None)
        for name, kind in zip(given, kinds, strict=True)
    ]
    inner = helper.make_graph(
        [*body.node, *kept], "step", inputs, outputs, initializer=list(body.initializer)
    )
    graph = onnx.GraphProto()
    graph.CopyFrom(start.graph)
    graph.initializer.extend(
        helper.make_tensor(name, TensorProto.INT64, shape, [value])
        for name, shape, value in (
            ("count", [], ITERATIONS + 1),
            ("first_sample", [1], 0),
            ("last_sample", [1], -cut),
        )
    )
    graph.node.extend(
        [
            helper.make_node("Sub", ["spectrum", "spectrum"], ["nothing"]),
            helper.make_node(
                "Loop",
                ["count", "", "spectrum", "nothing", "noise"],
                ["last_spectrum", "last_previous", "whole"],
                body=inner,
            ),
            helper.make_node("Slice", ["whole", "first_sample", "last_sample"], ["audio"]),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["samples"]))
    model = helper.make_model(graph, opset_imports=start.opset_import, ir_version=start.ir_version)
    onnx.checker.check_model(model)
    return model
