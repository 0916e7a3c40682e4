"""Loading a model folder onto a device, without network and without chatter."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from woosh.autoencoder import load_autoencoder
from woosh.catalogue import GRAPHS_FILE, ModelInfo, part_folders
from woosh.generation.changes import load_transformer
from woosh.generation.sampling import Sampler
from woosh.generation.settings import SamplingSettings
from woosh.generation.text_encoder import WooshTextEncoder, read_tokenizer
from woosh.outside_files import read_object, shaped
from woosh.progress import steps_on_terminals
from woosh.weight_files import load_saved

LARGE = (
    100_000_000  # parameters; built-in models have up to 28 million, released ones several hundred
)


def choose_device(name: str) -> torch.device:
    """Return the device called auto, cpu, cuda or mps.

    Raises:
        ValueError: it is not there.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in present.items() if there)
    if not present[name]:
        there = ", ".join(device for device in present if present[device])
        raise ValueError(f"device {name} is not available here; there is {there}")
    return torch.device(name)


def load_model(
    info: ModelInfo, device_name: str, dtype_name: str, *, offload: bool = False
) -> Sampler:
    """Load a model folder onto a device, without network and without chatter.

    Args:
        info: of the folder.
        device_name: auto, cpu, cuda or mps.
        dtype_name: auto, or of a precision of torch.
        offload: keep on the device the part alone that computes, see `woosh.generation.offloading`.

    Raises:
        ValueError: the device is not there or has no memory of its own, or graphs are to be computed elsewhere or otherwise
            than they are made for.
    """
    if info.graphs and (device_name not in ("auto", "cpu") or dtype_name != "auto"):
        raise ValueError(
            f"{info.folder} holds graphs, which compute on the processor in their own precision: leave out --device and "
            "--dtype"
        )
    device = choose_device("cpu" if info.graphs else device_name)
    if dtype_name == "auto":
        dtype = quickest_precision(device.type, info.parameters, computes_bfloat16())
    else:
        dtype = getattr(torch, dtype_name)
    quiet_libraries()
    if offload and device.type == "cpu":
        raise ValueError("--offload is for accelerators, and there is none here: leave it out")
    sampler = load_sampler(info.folder, "cpu" if offload else device, dtype)
    if offload:
        from woosh.generation.offloading import offloaded

        sampler = offloaded(sampler, device)
    return dataclasses.replace(sampler, step_bar=steps_on_terminals)


def quickest_precision(device_type: str, parameters: int, bfloat16: bool) -> torch.dtype:
    """The quickest precision that is exact enough for transformer and text encoder: bfloat16 or float32.

    On processors bfloat16 is for networks of the released size alone: it halves the time of small ones too, but their
    sounds would be others on processors without it.

    Args:
        device_type: cpu, cuda or mps.
        parameters: of the model.
        bfloat16: whether the processor computes in it.
    """
    large = parameters >= LARGE
    quick = device_type == "cuda" or (device_type == "cpu" and large and bfloat16)
    return torch.bfloat16 if quick else torch.float32


def computes_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware: x86 with AVX512_BF16 or AMX. Where that is unknown, no."""
    tell = getattr(torch.cpu, "get_capabilities", dict)  # torch 2.9 does not tell
    capabilities = tell()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def quiet_libraries() -> None:
    """Keep loading bars and advice of the libraries off the terminal."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


def load_sampler(
    folder: str | Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Sampler:
    """Load a pipeline folder.

    Args:
        folder: what `WooshPipeline.save_pretrained` or `woosh export` wrote.
        device: where to compute.
        dtype: of the transformer and the text encoder; the autoencoder is float32, and graphs are what they are.

    Raises:
        FileNotFoundError: a part is missing.
        ValueError: a file is damaged, or parts that do not belong together.
    """
    folder = Path(folder)
    if (folder / GRAPHS_FILE).is_file():
        from woosh.generation.graphs import load_graphs

        return load_graphs(folder)
    index = read_object(folder / "model_index.json")
    parts = part_folders(folder)

    def load(part: str, precision: torch.dtype) -> Any:
        return load_part(part, parts[part], precision).to(device).eval()

    try:
        return Sampler(
            autoencoder=load("autoencoder", torch.float32),
            transformer=load("transformer", dtype),
            text_encoder=load("text_encoder", dtype),
            tokenizer=load_part("tokenizer", parts["tokenizer"], None),
            settings=settings_of(index, str(folder / "model_index.json")),
        )
    except ValueError as error:
        raise ValueError(f"{folder} makes no model: {error}") from error


def settings_of(index: Mapping[str, Any], place: str) -> SamplingSettings:
    """What a model_index.json says of sampling, among the rest that it says; `place` is named in errors.

    Raises:
        ValueError: a value of another type or out of its range.
    """
    return shaped(SamplingSettings, index, place)


def load_part(name: str, folder: str | Path, dtype: torch.dtype | None = None) -> Any:
    """A part of a pipeline from its own folder, in a precision or as it was saved; the tokenizer has none.

    Raises:
        FileNotFoundError: the folder holds no such part.
        ValueError: its weights are damaged.
    """
    if name == "tokenizer":
        return read_tokenizer(PreTrainedTokenizerFast, folder)
    if name == "autoencoder":
        return load_autoencoder(folder, dtype)
    if name == "transformer":
        return load_transformer(folder, dtype)
    return load_saved(WooshTextEncoder, folder, dtype)
