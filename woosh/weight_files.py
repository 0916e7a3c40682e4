"""Files of weights: read without running anything that they may hold, and checked whether they fit."""

from __future__ import annotations

import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from woosh.compact_weights import compacted, restored
from woosh.outside_files import SAMPLE_RATES, expanded, fitted, read_object

# Not diffusers' own name: a tool that does not know the eight-bit form finds no weights instead of wrong ones.
COMPACT_FILE = "weights_8bit.safetensors"
WHOLE_FILE = "diffusion_pytorch_model.safetensors"
MOST_BLOCKS = 1000  # of a network, of any kind
# The least and the greatest of settings that say how large something is, by how their names end. What they make is computed
# before a tensor that does not fit could tell that they are wrong.
RANGES = {
    "blocks": (0, MOST_BLOCKS),
    "layers": (0, MOST_BLOCKS),
    "depth": (0, MOST_BLOCKS),
    "heads": (1, 1000),
    "sample_rate": SAMPLE_RATES,
    "n_fft": (2, 2**16),
    "bands": (1, 2**12),
    "max_frames": (1, 10**6),
}
# What a constructor raises at settings of the right types that make no network.
UNBUILDABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
)


# Functions and methods of torch that fill a tensor with random numbers.
DRAWS = {"normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_"}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a `.safetensors`, `.pt` or `.pth` file by name, mapped from the file where its form allows it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file, one that is damaged, a pickle that holds more than tensors, or a value that is
            not finite.
    """
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise ValueError(f"{path} must be a .pt, a .pth or a .safetensors file")
    if path.suffix == ".safetensors":
        return read_safetensors(path)[0]
    tensors = _read_pickle(path)
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise ValueError(f"{path} must hold tensors by name and nothing else")
    check_finite(tensors, str(path))
    return tensors


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, mapped from the file, and what its metadata say.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is damaged, or holds a value that is not finite.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    check_finite(tensors, str(path))
    return tensors, metadata


def _read_pickle(path: Path) -> Any:
    """What a file of `torch.save` holds, in its form of today, a zip archive, or the one before.

    Raises:
        ValueError: it is damaged, or holds more than tensors.
    """
    import zipfile

    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped and not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is cut: its end is missing; copy or download it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except (OSError, MemoryError):  # of the machine, not of the file
        raise
    except Exception as error:  # a damaged pickle raises nearly everything
        raise ValueError(f"{path} is damaged or holds more than tensors, and is refused") from error


def check_finite(tensors: Mapping[str, Tensor], title: str) -> None:
    """Raise if a tensor holds NaN or an infinite value, which would make every output NaN.

    Raises:
        ValueError: one does, by its name; `title` says where it stands.
    """
    for name, value in tensors.items():
        if not value.is_floating_point() or not value.numel():
            continue
        # The least and the greatest of values with a NaN are NaN; found fifty times faster than by asking each.
        least, greatest = torch.aminmax(value)
        if not torch.isfinite(least) or not torch.isfinite(greatest):
            raise ValueError(
                f"{title}: {name} holds values that are NaN or infinite; take the file of another step or download it "
                "again"
            )


def load_saved(
    cls: Any,
    folder: str | Path,
    dtype: torch.dtype | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Any:
    """A network that its class's `save_pretrained` or `save_compact` wrote, without network.

    Args:
        cls: class of the network, one of diffusers' models.
        folder: of its config.json and weights.
        dtype: of the weights; None is float32, whatever they were saved in.
        changes: settings in place of those that were saved.

    Raises:
        FileNotFoundError: the folder holds no network.
        ValueError: its config.json is damaged or makes no such network, or its weights are damaged, not finite or do not
            fit it.
    """
    from safetensors import SafetensorError

    folder = expanded(folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"no {cls.__name__} in {folder}: name the folder that holds its config.json and weights"
        )
    check_settings(cls, read_object(folder / "config.json"), str(folder / "config.json"))
    try:
        if (folder / COMPACT_FILE).is_file():
            return load_compact(cls, folder, dtype or torch.float32)
        if (whole := folder / WHOLE_FILE).is_file():
            config = {**cls.load_config(folder), **(changes or {})}
            tensors = _in_precision(read_tensors(whole), dtype or torch.float32)
            model = build(cls, config, tensors, str(whole))
            settle(model)
            return model
        # Larger networks have several files.
        model, info = cls.from_pretrained(
            folder,
            torch_dtype=dtype,
            local_files_only=True,
            output_loading_info=True,
            **(changes or {}),
        )
        problems = [f"{name} is missing" for name in sorted(info["missing_keys"])]
        problems += [f"{name} is left over" for name in sorted(info["unexpected_keys"])]
        _refuse(problems, "its tensors do not fit its config.json")
        settle(model)
        return model
    except SafetensorError as error:
        raise ValueError(f"the weights in {folder} are damaged: {error}") from error
    except (ValueError, *UNBUILDABLE) as error:
        raise ValueError(f"{folder} makes no {cls.__name__}: {error}") from error


def _in_precision(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Tensors by name, those of floating numbers in a precision."""
    return {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in tensors.items()
    }


def settle(network: nn.Module) -> None:
    """Take the values of a network that was just loaded out of its mapped file into memory of their own.

    There they begin where values of a new network do. In a file they begin anywhere, and some processors' products round
    otherwise at other addresses: the same weights would give other sounds after they are saved and loaded.
    """
    for value in (*network.parameters(), *network.buffers()):
        value.data = value.data.clone()


def check_settings(cls: Any, settings: Mapping[str, Any], place: str) -> None:
    """Compare the settings of a network with the types of its constructor's arguments; `place` is named in errors.

    Raises:
        ValueError: a setting of another type, or out of its range.
    """
    kinds = typing.get_type_hints(cls.__init__)
    for name in kinds.keys() & settings.keys():
        value = fitted(settings[name], kinds[name], f"{place}: {name}")
        if kinds[name] is int:
            try:
                check_range(name, value)
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from error


def check_range(name: str, value: int) -> None:
    """Raise a ValueError if a setting of a network is out of the range of its kind, see `RANGES`."""
    for ending, (least, most) in RANGES.items():
        if name.endswith(ending) and not least <= value <= most:
            raise ValueError(f"{name} is {value}; it must be from {least} to {most}")


def save_compact(model: Any, folder: Path) -> None:
    """Write config.json and the eight-bit weights of one of diffusers' models.

    Raises:
        ValueError: a value that this form cannot hold.
    """
    from safetensors.torch import save_file

    tensors = compacted(model)
    model.save_config(folder)
    save_file(tensors, folder / COMPACT_FILE)


def load_compact(cls: Any, folder: Path, dtype: torch.dtype) -> Any:
    """A model of `save_compact`; see `load_saved`."""
    path = folder / COMPACT_FILE
    try:
        tensors = restored(read_tensors(path), dtype)
    except ValueError as error:
        raise ValueError(f"the weights in {folder} are damaged: {error}") from error
    return build(cls, cls.load_config(folder), tensors, str(path))


def build(cls: Any, config: Mapping[str, Any], tensors: Mapping[str, Tensor], title: str) -> Any:
    """One of diffusers' models from its configuration and its tensors, in evaluation.

    Raises:
        ValueError: tensors that do not fit; `title` says what they are.
    """
    model = _build_empty(cls, config, tensors, title)
    model.load_state_dict(tensors, assign=True)
    computed = [name for name, value in model.named_buffers() if value.is_meta]
    if (
        computed
    ):  # by the constructor, and in no file; the sizes are known to be those of the tensors by now
        whole = cls.from_config(config)
        for name in computed:
            place, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(place), leaf, whole.get_buffer(name))
    return model.eval()


def _build_empty(
    cls: Any, config: Mapping[str, Any], tensors: Mapping[str, Tensor], title: str
) -> Any:
    """A model without memory for its tensors, which these fit: sizes beyond all memory cost nothing here.

    Raises:
        ValueError: settings that make no model, or tensors that do not fit.
    """
    try:
        with torch.device("meta"), _NoDraws():
            model = cls.from_config(config)
    except (ValueError, TypeError, ArithmeticError, RuntimeError, MemoryError) as error:
        raise ValueError(f"{title}: its config.json makes no {cls.__name__}: {error}") from error
    check_tensors(model, tensors, title)
    return model


class _NoDraws(TorchFunctionMode):
    """Within, no random numbers are drawn for weights: those on the meta device would bring torch's compiler along."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def check_tensors(
    model: nn.Module, tensors: Mapping[str, Tensor], title: str, ignored: Collection[str] = ()
) -> None:
    """Compare names and shapes of tensors with those of a network.

    Args:
        model: the network.
        tensors: by name.
        title: what the tensors are, for the error.
        ignored: names of the network that need not be among them.

    Raises:
        ValueError: what is missing, left over or misshapen, by name.
    """
    own = model.state_dict()
    shapes = {name: tuple(value.shape) for name, value in own.items()}
    known = {*tensors, *ignored}
    problems = [f"{name} is missing" for name in shapes if name not in known]
    for name, tensor in tensors.items():
        if name not in shapes:
            problems.append(f"{name} is left over")
        elif tuple(tensor.shape) != shapes[name]:
            problems.append(f"{name} has shape {tuple(tensor.shape)}, expected {shapes[name]}")
        elif own[name].is_floating_point() and not tensor.is_floating_point():
            problems.append(f"{name} holds {tensor.dtype}, expected floating numbers")
    _refuse(problems, title)


def _refuse(problems: list[str], title: str) -> None:
    """Raise a `ValueError` that names the first of the problems, if there are any."""
    if problems:
        more = f" and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ValueError(f"{title}: {'; '.join(problems[:10])}{more}")
