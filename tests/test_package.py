"""What is installed: versions, lazy imports, the command, the contents of the wheel."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import woosh
from tests.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
# The extra for development names the other extras of this project.
REQUIREMENTS = [
    Requirement(line)
    for line in (*PROJECT["dependencies"], *EXTRAS)
    if not line.startswith(PROJECT["name"])
]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the interpreter of the tests in a fresh process."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def constraints() -> dict[str, str]:
    """Name -> tested version."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_installed_version_is_the_source_version() -> None:
    assert metadata.version(PROJECT["name"]) == woosh.__version__


@pytest.mark.parametrize("module", ["woosh", "woosh.cli"])
def test_import_loads_nothing_heavy(module: str) -> None:
    heavy = {"torch", "transformers", "diffusers", "scipy", "matplotlib", "gradio"}
    code = f"import sys, {module}; print(*sorted({heavy} & set(sys.modules)))"
    result = python("-c", code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ""


@pytest.mark.parametrize("name", sorted(set(woosh.__all__) - {"__version__"}))
def test_public_names_are_classes_of_that_name(name: str) -> None:
    assert getattr(woosh, name).__name__ == name
    assert name in dir(woosh)


def test_unknown_name_is_an_attribute_error() -> None:
    name = "Nonsense"
    with pytest.raises(AttributeError, match=name):
        getattr(woosh, name)


def test_help_names_every_command() -> None:
    result = python("-m", "woosh", "--help")
    assert result.returncode == 0, result.stderr
    for command in ("generate", "dub", "models", "convert", "reconstruct"):
        assert re.search(rf"\b{command}\b", result.stdout), f"{command} is missing in --help"


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_requirements_have_a_lower_bound_that_the_tested_version_meets(
    requirement: Requirement,
) -> None:
    assert [specifier.operator for specifier in requirement.specifier] == [">="]
    assert requirement.specifier.contains(constraints()[canonicalize_name(requirement.name)])


def test_constraints_leave_out_what_breaks_installs() -> None:
    assert not {"torchaudio", "torchvision", "woosh"} & constraints().keys()
    assert constraints()["torch"] == "2.13.0"


@pytest.mark.slow
def test_wheel_holds_the_library_and_its_weights_only(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    options = ("--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path))
    result = python("-m", "pip", "wheel", *options, ".")
    assert result.returncode == 0, result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}

    information = f"woosh_sfx-{woosh.__version__}.dist-info/"
    assert all(name.startswith(("woosh/", information)) for name in sizes)
    assert information + "licenses/LICENSE" in sizes
    models = {name: size for name, size in sizes.items() if name.startswith("woosh/models/")}
    assert "woosh/models/woosh-tiny/model_index.json" in models
    assert {Path(name).suffix for name in models} <= {".safetensors", ".json", ".txt", ".md"}
    assert {Path(name).suffix for name in sizes.keys() - models.keys()} <= {
        ".py",
        ".cs",
        ".js",
        ".csv",
        ".json",
        ".txt",
        "",
    }
    limits = {
        "woosh-small": 27_000_000,
        "woosh-small-fast": 4_000_000,
        "woosh-tiny": 17_000_000,
        "woosh-tiny-fast": 5_000_000,
        "woosh-small-video": 5_000_000,
        "woosh-small-video-fast": 2_500_000,
        "woosh-tiny-clap": 6_000_000,
        "woosh-tiny-tagger": 3_500_000,
        "woosh-tiny-breaks": 600_000,
    }
    for name, limit in limits.items():
        files = [size for path, size in models.items() if path.startswith(f"woosh/models/{name}/")]
        assert 0 < sum(files) <= limit, name
    assert sum(size for path, size in models.items() if path.endswith(".safetensors")) <= 60_000_000
