"""Parity fixtures of the tagger family: settings, weights by recipe and what the reference makes of them.

Some lie beside the tests, all of them beside the checkout.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tests.official import fill, read_manifest
from tests.paths import ROOT, SHARED

PLACES = (SHARED / "official" / "taggers", ROOT / "tests" / "fixtures" / "taggers")


class Fixture(NamedTuple):
    """A network at some size."""

    folder: Path
    config: dict[str, Any]
    io: dict[str, Tensor]

    def tensors(self, state: str = "state") -> dict[str, Tensor]:
        """Recipe weights, brought to size, with the norms' statistics of a file."""
        filled = fill(read_manifest(self.folder))
        gained = {n: filled[n] * gain for n, gain in self.config.get("gain", {}).items()}
        return filled | gained | load_file(self.folder / f"{state}.safetensors")

    @property
    def names(self) -> list[str]:
        """Of all tensors, in order."""
        manifest = json.loads((self.folder / "manifest.json").read_text())
        return [name for name in manifest if name != "$keep"]


def fixtures(model: str) -> list[Any]:
    """Names of the fixtures of a kind of network that are at hand."""
    found = {}
    for place in PLACES:
        for path in sorted(place.glob("*/config.json")):
            if json.loads(path.read_text()).get("model") == model:
                found.setdefault(path.parent.name, path.parent)
    return sorted(found)


def load_fixture(name: str) -> Fixture:
    """The fixture of that name."""
    folder = next(place / name for place in PLACES if (place / name).is_dir())
    config = json.loads((folder / "config.json").read_text())
    return Fixture(folder, config, load_file(folder / "io.safetensors"))


def counts() -> dict[str, dict[str, Any]]:
    """Published counts of every size."""
    return json.loads((PLACES[1] / "counts" / "config.json").read_text())


def assert_counts(model: nn.Module, expected: dict[str, Any]) -> None:
    """Assert parameters, values with buffers, names and shapes of a network."""
    state = model.state_dict()
    assert sum(value.numel() for value in model.parameters()) == expected["parameters"]
    assert sum(value.numel() for value in state.values()) == expected["with_buffers"]
    assert len(state) == expected["keys"]
    lines = [f"{name} {tuple(value.shape)}\n" for name, value in state.items()]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == expected["key_list_sha256"]


def multiplications(model: nn.Module, bands: int = 128, frames: int = 1000) -> dict[str, int]:
    """Multiply-accumulates of one clip's forward pass, without biases, by kind of operation."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, 1, bands, frames))
    return {str(kind): n // 2 for kind, n in counter.get_flop_counts()["Global"].items()}
