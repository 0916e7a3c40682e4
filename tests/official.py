"""Reference networks without files: reproducible weights from tensor names and shapes.

A manifest names every tensor of a released checkpoint with its shape and type. Each tensor's values
follow from its name alone, so that the reference implementation and ours hold the same network.
Outputs of the reference for such weights are stored beside the manifest.
"""

import json
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

FIXTURES = Path(__file__).parent / "fixtures" / "official"
SEED = 0


class Released(NamedTuple):
    """A shrunken released checkpoint: its configuration, its weights, and the reference's results."""

    config: dict
    tensors: dict[str, Tensor]
    io: dict[str, Tensor]


def load_released(name: str) -> Released:
    """The fixture of that name with recipe weights."""
    folder = FIXTURES / name
    config = yaml.safe_load((folder / "config.yaml").read_text())
    return Released(config, fill(read_manifest(folder)), load_file(folder / "io.safetensors"))


def write_released(folder: Path, names: Sequence[str]) -> None:
    """Write shrunken checkpoints below a folder, each as a released one lies on a disk."""
    for name in names:
        config, tensors, _ = load_released(name)
        place = folder / name
        place.mkdir(parents=True)
        (place / "config.yaml").write_text(yaml.safe_dump(config))
        save_file(tensors, place / "weights.safetensors")


def read_manifest(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors that the recipe fills: constant tables are left to the reader."""
    manifest = json.loads((folder / "manifest.json").read_text())
    constant = {"$keep", *manifest["$keep"]}
    return {name: tuple(manifest[name][0]) for name in manifest if name not in constant}


def fill(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights for all names."""
    return {name: fill_one(name, shape) for name, shape in shapes.items()}


def fill_one(name: str, shape: tuple[int, ...]) -> Tensor:
    """Normal values seeded by the name, scaled to suit the tensor's role: scale, bias or matrix."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{SEED}:{name}".encode()))
    values = torch.randn(shape, generator=generator)
    if name.endswith(("running_var", "z_std")):
        return 1 + 0.1 * values.abs()
    if len(shape) < 2:
        return 1 + 0.1 * values if name.endswith("weight") else 0.1 * values
    return values / math.sqrt(values.numel() / shape[0])


def assert_parity(ours: Tensor, reference: Tensor, tolerance: float = 1e-4) -> None:
    """Assert that the largest difference is at most a share of the reference's largest value."""
    assert ours.shape == reference.shape
    difference = (ours - reference).abs().max() / reference.abs().max()
    assert difference <= tolerance, f"differs by {difference:.1e} of the largest value"
