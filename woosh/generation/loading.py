"""Loading a model folder onto a device, without network and without chatter."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from woosh.autoencoder import load_autoencoder
from woosh.catalogue import ModelInfo, part_folders
from woosh.generation.changes import load_transformer
from woosh.generation.sampling import Sampler, SamplingSettings
from woosh.generation.text_encoder import WooshTextEncoder, read_tokenizer
from woosh.outside_files import read_object, shaped
from woosh.progress import steps_on_terminals
from woosh.weight_files import load_saved


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


def load_model(info: ModelInfo, device_name: str, dtype_name: str) -> Sampler:
    """Load a model folder onto a device, without network and without chatter.

    Raises:
        ValueError: the device is not there.
    """
    device = choose_device(device_name)
    if dtype_name == "auto":
        dtype_name = "bfloat16" if device.type == "cuda" else "float32"
    quiet_libraries()
    sampler = load_sampler(info.folder, device, getattr(torch, dtype_name))
    return dataclasses.replace(sampler, step_bar=steps_on_terminals)


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
        folder: what `WooshPipeline.save_pretrained` wrote.
        device: where to compute.
        dtype: of the transformer and the text encoder; the autoencoder is float32.

    Raises:
        FileNotFoundError: a part is missing.
        ValueError: a file is damaged, or parts that do not belong together.
    """
    folder = Path(folder)
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
