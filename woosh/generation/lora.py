"""Low-rank adapters of a transformer (LoRA, arXiv 2106.09685): made for training, saved, and merged into the weights.

A file holds two matrices for every adapted layer, NAME.lora_A.weight (R, inputs) and NAME.lora_B.weight (outputs, R), as
the peft library names them, and its facts as metadata: W becomes W + scale alpha / R B A.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from woosh.catalogue import find_model, part_folders
from woosh.command_line import missing_extra
from woosh.generation.transformer import WooshTransformer
from woosh.outside_files import shown
from woosh.weight_files import read_safetensors

A, B = ".lora_A.weight", ".lora_B.weight"
FORMAT = "woosh-lora"
# The linear layers of the blocks by the ends of their names, without those that the time modulates by.
LAYERS = ("qkv", "out", "expand", "contract")
BLOCKS = r"(joint|fused)\..*"


@dataclass(frozen=True)
class LoraFacts:
    """What a file says of itself.

    Attributes:
        rank: R.
        alpha: numerator of the scale.
        base: the model that was adapted.
        trigger: words in front of every caption of the training, or nothing.

    Raises:
        ValueError: a rank below 1, or a numerator that is not finite.
    """

    rank: int
    alpha: float
    base: str
    trigger: str = ""

    def __post_init__(self) -> None:
        check_strength(self.rank, self.alpha)


def check_strength(rank: int, alpha: float) -> None:
    """Raise unless adapters can have this rank and alpha, of which they count alpha / rank times.

    Raises:
        ValueError: they cannot.
    """
    if rank < 1:
        raise ValueError(f"rank is {rank}; it must be 1 or more")
    if not math.isfinite(alpha):
        raise ValueError(f"alpha is {alpha}; it must be a number, such as {rank}")


def add_lora(transformer: nn.Module, rank: int, alpha: float, dropout: float) -> None:
    """Freeze a transformer and put trainable adapters, which change nothing yet, beside the layers of its blocks.

    Raises:
        ImportError: peft is not installed.
        ValueError: a rank or an alpha that adapters cannot have.
    """
    check_strength(rank, alpha)
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise missing_extra("LoRA needs peft", "train") from error
    ends = "|".join(LAYERS)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type] - any number serves
        lora_dropout=dropout,
        target_modules=rf"{BLOCKS}({ends})",
    )
    inject_adapter_in_model(config, transformer)


def merged(transformer: WooshTransformer) -> WooshTransformer:
    """A copy whose weights hold what its adapters add, without adapters."""
    from peft.tuners.lora import LoraLayer

    plain = copy.deepcopy(transformer)
    adapted = [(name, part) for name, part in plain.named_modules() if isinstance(part, LoraLayer)]
    for name, part in adapted:
        part.merge()  # type: ignore[operator] - peft leaves it to the kinds of layer
        parent, _, leaf = name.rpartition(".")
        setattr(plain.get_submodule(parent), leaf, part.get_base_layer())
    return plain


def save_lora(transformer: nn.Module, path: Path, facts: LoraFacts) -> None:
    """Write the adapters of `add_lora` in half precision."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    tensors = {
        name: value.detach().half().cpu().contiguous()
        for name, value in get_peft_model_state_dict(transformer).items()
    }
    metadata = {
        "format": FORMAT,
        "rank": str(facts.rank),
        "alpha": repr(facts.alpha),
        "base": facts.base,
        "trigger": facts.trigger,
    }
    save_file(tensors, path, metadata)


def read_lora(path: str | Path) -> tuple[dict[str, Tensor], LoraFacts]:
    """Tensors and facts of a file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no file of `save_lora`, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no LoRA file at {path}")
    try:
        tensors, metadata = read_safetensors(path)
        if metadata.get("format") != FORMAT:
            raise ValueError("it has no facts of training/finetune_lora.py")
        facts = LoraFacts(
            int(metadata["rank"]), float(metadata["alpha"]), metadata["base"], metadata["trigger"]
        )
        check_strength(facts.rank, facts.alpha)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is no LoRA file: {error}") from error
    return tensors, facts


def check_base(path: str | Path, base: str, model: str) -> None:
    """Raise if a file was made for other weights than a model's, whose layers may have the same shapes.

    A model that was made from the base, and takes its autoencoder, may have the file: what `woosh-tiny` learns serves
    `woosh-tiny-fast` too. So may any model where the base is not to be found, as after a folder was moved.

    Args:
        path: of the file.
        base: what it was made for.
        model: a built-in model or a model folder.

    Raises:
        ValueError: it was made for another one.
    """
    try:
        right = find_model(base).resolve()
    except (FileNotFoundError, ValueError):
        return
    own = find_model(model)
    made_of = part_folders(own)["autoencoder"].resolve().parent  # whose latents it makes
    if right not in (own.resolve(), made_of):
        raise ValueError(
            f"{path} was made for {base}, and {model} has other weights: leave out --model, or give --model {base}"
        )


@torch.no_grad()
def merge_lora(transformer: nn.Module, path: str | Path, scale: float = 1.0) -> LoraFacts:
    """Add a file's adapters, times `scale`, to the weights of a transformer; several files add up.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is none, or adapts layers that this transformer does not have; nothing is changed then.
    """
    tensors, facts = read_lora(path)
    names = {name.removesuffix(end) for name in tensors for end in (A, B) if name.endswith(end)}
    layers: dict[str, Any] = {
        name: module
        for name, module in transformer.named_modules()
        if isinstance(module, nn.Linear)
    }
    whole = {name + end for name in names for end in (A, B)}
    if not names or whole != set(tensors):
        raise ValueError(f"{path} is no LoRA file: pairs of matrices are incomplete")
    for name in sorted(names):
        shape = (tensors[name + B].shape[0], tensors[name + A].shape[1])
        if name not in layers or layers[name].weight.shape != shape:
            has = tuple(layers[name].weight.shape) if name in layers else "no such layer"
            raise ValueError(
                f"{path} was made for {shown(facts.base)}, another transformer: it adapts {name} of shape "
                f"{shape}, here is {has}"
            )
    for name in names:
        weight = layers[name].weight
        change = tensors[name + B].float() @ tensors[name + A].float()
        weight += (scale * facts.alpha / facts.rank * change).to(weight)
    return facts
