"""Configuration files: types are checked, unknown keys are errors, every shipped YAML loads."""

import dataclasses
import importlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.paths import ROOT
from woosh.autoencoder import WooshAutoencoder
from woosh.generation.transformer import WooshTransformer
from woosh.training.config import load_config, plain_values, replace_fields

# The recipe of a file by the beginning of its name.
RECIPES = {
    "autoencoder": "train_autoencoder",
    "breaks": "train_breaks",
    "latents": "encode_latents",
    "flow": "train_flow",
    "objective": "train_flow",
    "lora": "finetune_lora",
    "clap": "train_clap",
    "control": "train_control",
    "text_encoder": "train_text_encoder",
    "distill": "distill_flow",
    "tune": "tune_flow",
    "select": "select_latents",
    "solver": "train_solver",
    "own_autoencoder": "train_autoencoder",
    "own_latents": "encode_latents",
    "own_flow": "train_flow",
    "own_lora": "finetune_lora",
    "own_clap": "train_clap",
    "own_videos": "encode_video",
    "own_video_flow": "train_video_flow",
    "package_tiny_tagger": "package_tagger",
    "package_tiny_clap": "package_aligner",
    "package_tiny_fast": "package_student",
    "package_small_fast": "package_student",
    "package_small_video_fast": "package_student",
    "package_small_video": "package_video",
    "visual": "train_visual",
    "mel_autoencoder": "train_mel_autoencoder",
    "videos": "encode_video",
    "scenes": "encode_video",
    "video_flow": "train_video_flow",
    "package": "package_model",
    "teach": "teach",
    "tagger": "train_tagger",
    "imitate": "imitate_tagger",
}
ABSURD = {  # lines of a file: what the refusal says
    "rate: .inf": "rate is inf; expected a finite number",
    "rate: -.inf": "rate is -inf; expected a finite number",
    "rate: .nan": "rate is nan; expected a finite number",
    f"rate: 1{'0' * 400}": "expected a finite number",
    "batch_size: 0": "batch_size is 0; it must be 1 or more",
    "rank: -1": "rank is -1; it must be 0 or more",
    "learning_rate: -1.0": "learning_rate is -1.0; it must be 0 or more",
    "1: 2\nhue: 3": "unknown keys ['1', 'hue']",
    "rate: 2020-99-99": "is not valid YAML",
    "rate: " + "[" * 3000: "is not valid YAML",
    "rate: &a [*a]": "more than 100000 values",
    "\n".join(
        ["a0: &a0 [x]"]
        + [f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(30)]
        + ["rate: *a30"]
    ): "more than 100000 values",
    f"batch_size: {2**63}": "expected a whole number of up to 64 bits",
}


@dataclass(frozen=True)
class Numbers:
    rate: float = 1.0
    batch_size: int = 1
    rank: int = 0
    learning_rate: float = 1.0


@pytest.mark.parametrize("text", ABSURD, ids=lambda text: text[:20])
def test_absurd_values_are_refused_in_one_short_line(text: str, tmp_path: Path) -> None:
    """A rate of infinity trained to NaN, and aliases of aliases would fill the memory when printed."""
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ValueError) as raised:
        load_config(Numbers, path)
    assert ABSURD[text] in str(raised.value) and len(str(raised.value)) < 1000


FILES = sorted((ROOT / "configs").glob("*.yaml"))


def loaded(path: Path) -> Any:
    """A shipped file in its recipe's configuration."""
    recipe = next(name for start, name in RECIPES.items() if path.stem.startswith(start))
    return load_config(importlib.import_module(f"training.{recipe}").Config, path)


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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_file_fits_its_recipe(path: Path) -> None:
    assert loaded(path)


def parameters(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.stem.startswith("autoencoder")], ids=lambda p: p.stem
)
def test_every_autoencoder_can_be_built(path: Path) -> None:
    config = loaded(path)
    with torch.device("meta"):
        model = WooshAutoencoder(**dataclasses.asdict(config.sizes))
    if path.stem == "autoencoder_public":
        assert parameters(model) == 221_158_947  # as released
    least, most = config.nested_channels
    assert 0 < least <= most <= config.sizes.latent_channels
    assert len(config.mel_windows) == len(config.mel_bands)


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.stem.startswith(("flow", "objective"))],
    ids=lambda p: p.stem,
)
def test_every_flow_can_be_built(path: Path) -> None:
    config = loaded(path)
    with torch.device("meta"):
        model = WooshTransformer(**dataclasses.asdict(config.sizes))
    if path.stem == "flow_public":
        assert parameters(model) == 337_238_145  # as released
    assert len(config.data.lengths) == len(config.data.length_chances)
    assert max(config.data.lengths) <= 2 * config.sizes.max_frames


@pytest.mark.parametrize("name", ["ddp", "fsdp", "cpu"])
def test_launch_configurations_are_understood(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    path = ROOT / "configs" / "accelerate" / f"{name}.yaml"
    values = yaml.safe_load(path.read_text())
    config = load_config_from_file(str(path))
    assert config.num_processes == values["num_processes"]
    if name == "fsdp":
        wrapped = config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"].split(",")
        model = WooshTransformer(width=16, heads=2, inner_width=16, rotary_channels=4)
        assert set(wrapped) == {type(block).__name__ for block in (model.joint[0], model.fused[0])}


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
