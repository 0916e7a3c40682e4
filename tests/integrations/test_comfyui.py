"""The nodes for ComfyUI, loaded as ComfyUI loads them and run on stand-ins for what they use of it."""

import importlib.util
import inspect
import shutil
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from tests.paths import ROOT
from tests.toys import save_pipeline
from tests.videos import steady_times, write_video
from woosh.catalogue import DEFAULT_VIDEO_MODEL

FOLDER = ROOT / "integrations" / "comfyui"
KINDS = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


class Interrupted(Exception):
    """What ComfyUI raises when the user has asked for the end."""


class Comfy:
    """What the nodes use of ComfyUI: its bar, and its wish to end."""

    def __init__(self) -> None:
        self.bars: list[tuple[int, list[int]]] = []
        self.last = 10**9  # step after which the user interrupts

    def modules(self) -> dict[str, ModuleType]:
        def bar(total: int) -> Any:
            values: list[int] = []
            self.bars.append((total, values))

            def update(value: int, of: int) -> None:
                assert of == total
                values.append(value)

            return SimpleNamespace(update_absolute=update)

        def check() -> None:
            if sum(len(values) for _, values in self.bars) > self.last:
                raise Interrupted

        made = {
            name: ModuleType(name) for name in ("comfy", "comfy.utils", "comfy.model_management")
        }
        vars(made["comfy.utils"])["ProgressBar"] = bar
        vars(made["comfy.model_management"])["throw_exception_if_processing_interrupted"] = check
        return made


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> Comfy:
    comfy = Comfy()
    for name, module in comfy.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return comfy


@pytest.fixture(scope="module")
def nodes() -> ModuleType:
    """By the path of its folder, under a name that is no package's."""
    spec = importlib.util.spec_from_file_location("woosh_nodes", FOLDER / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(nodes: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = save_pipeline(tmp_path_factory.mktemp("models") / "toy")
    (loaded,) = nodes.LoadModel().load("woosh-small", "cpu", str(folder))
    assert loaded.info.folder == folder
    return loaded


def defaults(node: type) -> dict[str, Any]:
    """The widgets' values of a node that was just put on the canvas."""
    inputs = node.INPUT_TYPES()  # type: ignore[attr-defined]
    every = inputs["required"] | inputs.get("optional", {})
    return {name: more[0]["default"] for name, (_, *more) in every.items() if more}


def test_every_node_is_what_comfyui_expects(nodes: ModuleType) -> None:
    """Inputs are arguments of the function, and each widget's default is of its type and within its bounds."""
    assert nodes.NODE_CLASS_MAPPINGS.keys() == nodes.NODE_DISPLAY_NAME_MAPPINGS.keys()
    for name, node in nodes.NODE_CLASS_MAPPINGS.items():
        inputs = node.INPUT_TYPES()
        every = inputs["required"] | inputs.get("optional", {})
        taken = inspect.signature(getattr(node, node.FUNCTION)).parameters
        assert every.keys() == taken.keys() - {"self"}, name
        for argument, (kind, *more) in every.items():
            if isinstance(kind, list):
                assert more[0]["default"] in kind, (name, argument)
            elif kind in KINDS:
                value = more[0]["default"]
                assert isinstance(value, KINDS[kind]), (name, argument)
                if kind in ("INT", "FLOAT"):
                    assert more[0]["min"] <= value <= more[0]["max"], (name, argument)
            else:
                assert kind in ("AUDIO", "VIDEO", nodes.MODEL), (name, argument)
        optional = {word for word, part in taken.items() if part.default is not part.empty}
        assert optional == inputs.get("optional", {}).keys(), name
        assert node.CATEGORY == "audio/woosh" and node.DESCRIPTION


def test_takes_are_a_batch_of_the_length_asked_for(
    nodes: ModuleType, model: Any, comfy: Comfy
) -> None:
    """Seeds follow each other, a step is told for each step of the solver, and a loop is as long."""
    asked = defaults(nodes.Generate) | {"seconds": 0.5, "count": 2, "steps": 2, "seed": 3}
    (made,) = nodes.Generate().generate(model, **asked)
    assert made["waveform"].shape == (2, 1, 24_000) and made["sample_rate"] == 48_000
    assert made["waveform"].dtype == torch.float32
    assert comfy.bars == [(200, [0, 50, 100, 100, 150, 200])]
    (second,) = nodes.Generate().generate(model, **asked | {"count": 1, "seed": 4})
    assert torch.equal(second["waveform"][0], made["waveform"][1])
    (loop,) = nodes.Generate().generate(model, **asked | {"count": 1, "loop": True})
    assert loop["waveform"].shape == (1, 1, 24_000)


def test_a_batch_is_varied_sound_by_sound(nodes: ModuleType, model: Any, comfy: Comfy) -> None:
    """Of any rate and channels; the results are the model's."""
    stereo = 0.3 * torch.randn(2, 2, 11_025, generator=torch.Generator().manual_seed(0))
    given = {"waveform": stereo, "sample_rate": 22_050}
    (made,) = nodes.Vary().vary(model, given, **defaults(nodes.Vary) | {"count": 2})
    assert made["waveform"].shape == (4, 1, 24_000) and made["sample_rate"] == 48_000
    assert len({float(sound.square().mean()) for sound in made["waveform"]}) == 4
    assert len(comfy.bars) == 1


def test_what_is_around_a_part_stays(nodes: ModuleType, model: Any, comfy: Comfy) -> None:
    noise = 0.1 * torch.randn(1, 2, 48_000, generator=torch.Generator().manual_seed(0))
    given = {"waveform": noise, "sample_rate": 48_000}
    asked = defaults(nodes.Edit) | {"start": 0.4, "stop": 0.6}
    (made,) = nodes.Edit().edit(model, given, **asked)
    assert made["waveform"].shape == noise.shape and made["sample_rate"] == 48_000
    changed = (made["waveform"] != noise).any(dim=1)[0].nonzero()
    assert int(changed.min()) > 0.36 * 48_000 and int(changed.max()) < 0.64 * 48_000
    (whole,) = nodes.Edit().edit(model, given, **asked | {"start": 0.0, "stop": 0.0})
    assert (whole["waveform"] != noise).float().mean() > 0.9
    assert len(comfy.bars) == 2


def test_the_users_interruption_ends_the_work(nodes: ModuleType, model: Any, comfy: Comfy) -> None:
    comfy.last = 2
    asked = defaults(nodes.Generate) | {"seconds": 0.5, "count": 3, "steps": 2}
    with pytest.raises(Interrupted):
        nodes.Generate().generate(model, **asked)
    assert comfy.bars == [(300, [0, 50, 100])]


class Video:
    """ComfyUI's VIDEO, as far as its interface is documented."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save_to(self, path: str) -> None:
        shutil.copyfile(self._path, path)


def test_a_video_gets_a_sound_of_its_length(
    nodes: ModuleType, model: Any, comfy: Comfy, tmp_path: Path
) -> None:
    write_video(tmp_path / "film.mp4", steady_times(Fraction(25), 0.6))
    (seeing,) = nodes.LoadModel().load(DEFAULT_VIDEO_MODEL, "cpu")
    asked = defaults(nodes.Dub)
    (made,) = nodes.Dub().dub(seeing, Video(tmp_path / "film.mp4"), **asked)
    assert made["waveform"].shape[:2] == (1, 1)
    assert made["waveform"].shape[2] == pytest.approx(0.6 * made["sample_rate"], abs=2_000)
    with pytest.raises(ValueError, match="does not see: load woosh-small-video"):
        nodes.Dub().dub(model, Video(tmp_path / "film.mp4"), **asked)
    assert comfy.bars[0][1][-1] == 100


def test_words_that_are_missing_are_asked_for(nodes: ModuleType, model: Any) -> None:
    with pytest.raises(ValueError, match="the prompt is empty"):
        nodes.Generate().generate(model, **defaults(nodes.Generate) | {"prompt": " "})
