"""Where recordings were joined or something set in, learned from whether windows hold such a break.

The head is Deep SNP's (arXiv 1806.08840): every step says whether it breaks, and attention weighs what steps say. Below
it a small network hears little more than a second around each step, so that it can only speak of what is near. Shapes:
B batch, T steps of 20 ms, W channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from woosh.audio import read_seconds
from woosh.taggers.breakpoints import FLOOR, Breaks, attended
from woosh.taggers.log_mel import LogMel
from woosh.weight_files import load_saved

BUILT_IN = Path(__file__).parent.parent / "models" / "woosh-tiny-breaks"
BANDS = 64
STRIDE = 2  # frames of the spectrogram in a step
DILATIONS = (1, 2, 4, 8, 16)
COMPARED = 16  # steps before and after each one
BROKEN = 1  # the class of windows that break
MARGIN_SECONDS = 1.0  # heard before and after each second of a file
LEAST = 0.5  # probability of what counts as a break
NEAREST_SECONDS = 0.25  # of two breaks nearer to each other the likelier one counts


class Break(NamedTuple):
    """A place where a recording breaks."""

    second: float
    probability: float


class BreakFinder(ModelMixin, ConfigMixin):
    """Windows of sound -> the probability of a break in each, and where it is.

    Args:
        width: W.
    """

    @register_to_config
    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.log_mel = LogMel(bands=BANDS)
        self.first = nn.Conv1d(BANDS, width, 5, stride=STRIDE, padding=2)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=d, dilation=d) for d in DILATIONS
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in DILATIONS)
        self.joint_norm = nn.BatchNorm1d(2 * width)
        self.joint = nn.Conv1d(2 * width, width, 1)
        self.localisation = nn.Linear(width, 2)
        self.attention = nn.Linear(width, 2)

    @property
    def step_seconds(self) -> float:
        """Between two steps."""
        return STRIDE * self.log_mel.hop_length / self.log_mel.sample_rate

    def forward(self, audio: Tensor) -> Breaks:
        """Mono audio (B, S) at 32 kHz, as a whole one window each."""
        localisation, attention = self.steps(audio)
        return Breaks(attended(localisation, attention), attention, localisation)

    def steps(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """What steps of audio (B, S) say, and how much each counts, both (B, T, 2)."""
        hidden = self.first(self.log_mel(audio))  # (B, W, T)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            hidden = hidden + convolution(norm(hidden).relu())
        joined = torch.cat([hidden, change(hidden, COMPARED)], dim=1)
        features = self.joint(self.joint_norm(joined)).relu().transpose(1, 2)  # (B, T, W)
        localisation = self.localisation(features).softmax(dim=-1)
        return localisation, self.attention(features).sigmoid().clamp(FLOOR, 1 - FLOOR)


def change(x: Tensor, reach: int) -> Tensor:
    """How far the means of so many steps before and after each step of (B, W, T) lie apart, the ends repeated."""
    padded = functional.pad(x, (reach, reach - 1), mode="replicate")
    means = functional.avg_pool1d(padded, reach, 1)  # (B, W, T + reach)
    return (means[..., reach:] - means[..., :-reach]).abs()


def most_broken(breaks: Breaks) -> Tensor:
    """The step (B,) of each window that speaks loudest of a break: what it says times its attention."""
    return (breaks.localisation * breaks.attention)[..., BROKEN].argmax(dim=1)


def load_break_finder(folder: str | Path = BUILT_IN) -> BreakFinder:
    """The network of a folder, by default the built-in one, in float32 on the CPU.

    Raises:
        FileNotFoundError: no such network.
        ValueError: it is damaged.
    """
    return load_saved(BreakFinder, folder, torch.float32).eval()


@torch.inference_mode()
def find_breaks(model: BreakFinder, path: str | Path, least: float = LEAST) -> list[Break]:
    """Where a file breaks, at most once in a second, ascending; it may be of any length.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read, once the faulty place is reached.
    """
    rate = model.log_mel.sample_rate
    found = []
    for second, window in enumerate(read_seconds(path, rate, MARGIN_SECONDS)):
        before = min(float(second), MARGIN_SECONDS)
        heard = model(torch.from_numpy(window)[None].to(model.device))
        first, last = (round((before + end) / model.step_seconds) for end in (0, 1))
        one = own_break(heard, slice(first, last), round(NEAREST_SECONDS / model.step_seconds))
        if one is not None and one.probability >= least:
            place = second - before + one.step * model.step_seconds
            found.append(Break(round(place, 3), one.probability))
    return likeliest(found, NEAREST_SECONDS)


class _Place(NamedTuple):
    step: int
    probability: float


def own_break(heard: Breaks, own: slice, reach: int) -> _Place | None:
    """The strongest step of a part of one window, and the part's probability; None if a stronger one is near outside of it.

    What breaks just outside of the part is still heard at its edge, and is told where it lies.
    """
    strength = (heard.localisation * heard.attention)[0, :, BROKEN]
    if not len(strength[own]):
        return None
    step = own.start + int(strength[own].argmax())
    if strength[step] < strength[max(0, step - reach) : step + reach + 1].max():
        return None
    probability = attended(heard.localisation[:, own], heard.attention[:, own])[0, BROKEN]
    return _Place(step, float(probability))


def likeliest(breaks: Sequence[Break], nearest: float) -> list[Break]:
    """The breaks without those that lie within `nearest` seconds of a likelier one, ascending."""
    kept: list[Break] = []
    for one in sorted(breaks, key=lambda found: -found.probability):
        if all(abs(one.second - other.second) >= nearest for other in kept):
            kept.append(one)
    return sorted(kept)
