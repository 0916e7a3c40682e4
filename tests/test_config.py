"""Configuration files: types are checked, unknown keys are errors, every shipped YAML loads."""

import importlib
import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from woosh.config import load_config, plain_values, replace_fields

ROOT = Path(__file__).parents[1]
RECIPES = {
    "autoencoder_tiny": "train_autoencoder",
    "autoencoder_tiny_fine": "train_autoencoder",
    "autoencoder_tiny_decoder": "train_autoencoder",
    "autoencoder_tiny_magnitude": "train_autoencoder",
    "lora_tiny": "finetune_lora",
    "latents_tiny": "encode_latents",
    "flow_tiny": "train_flow",
    "flow_tiny_fine": "train_flow",
    "flow_tiny_steady": "train_flow",
    "objective_woosh": "train_flow",
    "objective_plain": "train_flow",
    "objective_edm": "train_flow",
    "objective_uniform": "train_flow",
    "clap_tiny": "train_clap",
    "clap_public": "train_clap",
    "text_encoder_tiny": "train_text_encoder",
    "package_tiny": "package_model",
    "package_tiny_clap": "package_aligner",
    "classifier": "train_classifier",
}


@dataclass(frozen=True)
class Config:
    name: str
    rate: float
    sizes: tuple[int, ...] = (1,)
    limit: int | None = None
    fast: bool = False


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_values_get_their_fields_types(tmp_path: Path) -> None:
    path = write(tmp_path, "name: a\nrate: 2\nsizes: [3, 4]\nlimit: null\n")
    assert load_config(Config, path) == Config("a", 2.0, (3, 4), None, False)


def test_overrides_win(tmp_path: Path) -> None:
    path = write(tmp_path, "name: a\nrate: 2.0\n")
    config = load_config(Config, path, ["rate=1.5e-3", "sizes=[7]", "fast=true", "limit=3"])
    assert math.isclose(config.rate, 1.5e-3)
    assert (config.sizes, config.fast, config.limit) == ((7,), True, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nrate: 1.0\nspeed: 2\n", "unknown keys .'speed'"),
        ("name: a\n", "missing keys .'rate'"),
        ("name: a\nrate: 1e-4\n", "rate is '1e-4'"),
        ("name: a\nrate: true\n", "rate is True"),
        ("name: 3\nrate: 1.0\n", "name is 3"),
        ("name: a\nrate: 1.0\nsizes: [1.5]\n", "sizes is 1.5"),
        ("- a\n", "name: value"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_config(Config, write(tmp_path, text))


def test_bad_override_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name=value"):
        load_config(Config, write(tmp_path, "name: a\nrate: 1.0\n"), ["fast"])
    with pytest.raises(FileNotFoundError, match="no configuration file"):
        load_config(Config, tmp_path / "none.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_file_fits_its_recipe(path: Path) -> None:
    recipe = importlib.import_module(f"training.{RECIPES[path.stem]}")
    assert load_config(recipe.Config, path)


@dataclass(frozen=True)
class Inner:
    depth: int
    width: float = 2.0


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner


def test_a_dataclass_among_the_fields_stands_in_the_same_file(tmp_path: Path) -> None:
    config = load_config(Outer, write(tmp_path, "name: a\ndepth: 3\n"), ["width=4"])
    assert config == Outer("a", Inner(3, 4.0))
    assert plain_values(config) == {"name": "a", "depth": 3, "width": 4.0}
    assert replace_fields(config, name="b", depth=5) == Outer("b", Inner(5, 4.0))
    assert replace_fields(config, inner=Inner(7)) == Outer("a", Inner(7))
    with pytest.raises(TypeError, match="height"):
        replace_fields(config, height=1)
    with pytest.raises(ValueError, match="unknown keys .'inner'"):
        load_config(Outer, write(tmp_path, "name: a\ndepth: 3\ninner: 1\n"))
    with pytest.raises(ValueError, match="missing keys .'depth'"):
        load_config(Outer, write(tmp_path, "name: a\n"))
