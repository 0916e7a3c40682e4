"""What the commands share: how one is added, the model options, devices, progress and quiet loading."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from woosh import catalogue

if TYPE_CHECKING:
    import torch

    from woosh.sampling import Sampler

Commands = Any  # argparse names the type of its subparsers privately


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], None],
    *,
    brief: str,
    description: str,
    examples: str | None = None,
) -> argparse.ArgumentParser:
    """Add a command that calls `run` with its arguments; `brief` stands in the list of commands."""
    parser = commands.add_parser(
        name,
        help=brief,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add --model for a generator, and --device."""
    parser.add_argument(
        "--model",
        default=catalogue.DEFAULT_MODEL,
        metavar="NAME|DIR",
        help=f"a built-in model or a model folder (default {catalogue.DEFAULT_MODEL})",
    )
    add_device_option(parser)


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add --device."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="where to compute (default auto: an accelerator if there is one)",
    )


def choose_device(name: str) -> torch.device:
    """Return the device called auto, cpu, cuda or mps.

    Raises:
        ValueError: it is not there.
    """
    import torch

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


def load_model(info: catalogue.ModelInfo, device_name: str, dtype_name: str) -> Sampler:
    """Load a model folder onto a device, without network and without chatter.

    Raises:
        ValueError: the device is not there.
    """
    import torch

    device = choose_device(device_name)
    if dtype_name == "auto":
        dtype_name = "bfloat16" if device.type == "cuda" else "float32"
    quiet_libraries()
    from woosh.sampling import load_sampler

    sampler = load_sampler(info.folder, device, getattr(torch, dtype_name))
    return dataclasses.replace(sampler, progress=tqdm_on_terminals)


def tqdm_on_terminals(steps: Iterable[Any]) -> Iterable[Any]:
    """Show a progress bar where somebody watches."""
    from tqdm import tqdm

    return tqdm(steps, leave=False, disable=not sys.stderr.isatty())


def progress_on_terminals(items: Iterable[Any], total: int, title: str) -> Iterable[Any]:
    """Show how far a long task is, where somebody watches."""
    from tqdm import tqdm

    return tqdm(items, title, total, leave=False, disable=not sys.stderr.isatty())


def quiet_libraries() -> None:
    """Keep loading bars and advice of the libraries off the terminal."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
