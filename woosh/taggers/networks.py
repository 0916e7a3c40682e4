"""The networks that a tagger may have: how each is given a spectrogram, saved and loaded."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from woosh.outside_files import fitted, read_object
from woosh.taggers.congater import ConGater
from woosh.taggers.cp_densenet import CpDenseNet
from woosh.taggers.cp_mobile import CpMobile
from woosh.taggers.cp_resnet import CpResNet
from woosh.taggers.cp_vgg import CpVgg
from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.log_mel import SILENT
from woosh.taggers.mobilenet import MobileNet, Tags
from woosh.taggers.passt import PATCH_SIZE, Passt
from woosh.taggers.published import fill
from woosh.weight_files import UNBUILDABLE, WHOLE_FILE, check_settings, load_saved, read_tensors

SAVED_BY_DIFFUSERS = {"MobileNet": MobileNet, "DynamicMobileNet": DynamicMobileNet, "Passt": Passt}
SAVED_HERE = {
    "CpResNet": CpResNet,
    "CpVgg": CpVgg,
    "CpDenseNet": CpDenseNet,
    "CpMobile": CpMobile,
    "ConGater": ConGater,
}
NETWORKS = (*SAVED_BY_DIFFUSERS, *SAVED_HERE)
GATES = ("domains", "gate", "place")  # settings of a ConGater that are not its PaSST's


def settings_of(network: nn.Module) -> dict[str, Any]:
    """The arguments of a network's constructor by name; of a ConGater its PaSST's stand beside its own."""
    config: Mapping[str, Any] = network.config  # type: ignore[assignment]
    return {name: value for name, value in config.items() if not name.startswith("_")}


def build_network(kind: str, settings: Mapping[str, Any]) -> nn.Module:
    """A network without trained weights.

    Args:
        kind: one of `NETWORKS`.
        settings: as `settings_of` gives them.
    """
    if kind != "ConGater":
        return (SAVED_BY_DIFFUSERS | SAVED_HERE)[kind](**settings)
    gates = {name: settings[name] for name in GATES}
    return ConGater(Passt(**{n: v for n, v in settings.items() if n not in gates}), **gates)


def with_classes(network: nn.Module, classes: int | None) -> nn.Module:
    """A network of the same settings and weights for so many classes, or, of MobileNets, without a head.

    What has another shape then starts fresh.
    """
    fresh = build_network(type(network).__name__, settings_of(network) | {"classes": classes})
    tensors, shapes = network.state_dict(), fresh.state_dict()
    kept = {
        name: tensors[name]
        for name, fresh_tensor in shapes.items()
        if name in tensors and tensors[name].shape == fresh_tensor.shape
    }
    fresh.load_state_dict({**shapes, **kept})
    return fresh


def given(
    network: nn.Module, log_mel: Tensor, controls: Tensor | None = None
) -> tuple[Tensor, ...]:
    """What a network is called with to hear spectrograms.

    Args:
        network: one of `NETWORKS`.
        log_mel: (B, 1, bands, frames); silence follows where the network needs more frames.
        controls: (B or 1, domains) of a ConGater; None leaves it as it is without gates.
    """
    lacking = least_frames(network) - log_mel.shape[-1]
    if lacking > 0:
        log_mel = functional.pad(log_mel, (0, lacking), value=SILENT)
    if isinstance(network, ConGater):
        if controls is None:
            controls = torch.zeros(1, len(network.domains), device=log_mel.device)
        return log_mel, controls
    return (log_mel[:, 0],) if isinstance(network, Passt) else (log_mel,)


def least_frames(network: nn.Module) -> int:
    """Fewer frames than these leave nothing between a network's pools, or fill no patch."""
    if isinstance(network, CpResNet | CpVgg | CpDenseNet):
        return network.config["fields"].least_frames
    return PATCH_SIZE if isinstance(network, Passt | ConGater) else 1


def hear(network: nn.Module, log_mel: Tensor, controls: Tensor | None = None) -> Tags:
    """What a network says of spectrograms; arguments as of `given`."""
    return Tags(*network(*given(network, log_mel, controls)))


def save_network(network: nn.Module, folder: Path) -> None:
    """Write config.json and the weights, in the precision that they have."""
    if isinstance(network, MobileNet | DynamicMobileNet | Passt):
        network.save_pretrained(folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        name: dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]
        for name, value in settings_of(network).items()
    }
    (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n")
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, folder / WHOLE_FILE)


def load_network(kind: str, folder: Path) -> nn.Module:
    """A network that `save_network` wrote, in evaluation mode, in float32.

    Raises:
        FileNotFoundError: the folder holds no network.
        ValueError: its config.json is damaged or makes no such network, or its weights do not fit.
    """
    if kind in SAVED_BY_DIFFUSERS:
        return load_saved(SAVED_BY_DIFFUSERS[kind], folder, torch.float32)
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"no {kind} in {folder}: name the folder that holds its config.json and weights"
        )
    settings = read_settings(kind, path)
    try:
        with torch.device("meta"):
            network = build_network(kind, settings)
    except (ValueError, *UNBUILDABLE) as error:
        raise ValueError(f"{path} makes no {kind}: {error}") from error
    return fill(network, read_tensors(folder / WHOLE_FILE), str(folder / WHOLE_FILE))


def read_settings(kind: str, path: Path) -> dict[str, Any]:
    """Settings from a network's config.json in the types of its constructor's arguments.

    Raises:
        ValueError: a setting that is unknown, missing or of another type.
    """
    settings = read_object(path)
    types = typing.get_type_hints(SAVED_HERE[kind].__init__)
    if kind == "ConGater":
        types = typing.get_type_hints(Passt.__init__) | {name: types[name] for name in GATES}
        check_settings(Passt, {n: v for n, v in settings.items() if n not in GATES}, str(path))
    types.pop("return", None)
    if settings.keys() != types.keys():
        wrong = sorted(settings.keys() ^ types.keys())
        raise ValueError(
            f"{path}: {', '.join(wrong)} unknown or missing; a {kind} has {', '.join(types)}"
        )
    return {name: fitted(settings[name], types[name], f"{path}: {name}") for name in types}
