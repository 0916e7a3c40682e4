"""Published weights of PaSST: which there are, and loading them strictly by name and shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from woosh.taggers.passt import Passt
from woosh.weight_files import check_tensors, load_saved, read_tensors

RELEASES = "https://github.com/kkoutini/PaSST/releases/download"
HUB = "hf://"  # before OWNER/REPOSITORY/FILE: a file on the Hugging Face hub
WRAPPED = "net."  # before every name in a file of the HEAR package
WRAPPER_DEVICE = "device_proxy"  # a number in such a file that says nothing


class Variant(NamedTuple):
    """Published networks of one configuration."""

    sizes: dict[str, Any]  # arguments of `Passt` that differ from its defaults
    releases: tuple[str, ...]  # tag/file of the weights, below `RELEASES`


VARIANTS = {
    "s10": Variant(
        {},
        (
            "v0.0.1-audioset/passt-s-f128-p16-s10-ap.476-swa.pt",
            "v0.0.2-audioset/passt-s-f128-p16-s10-ap.4761-swa.pt",
            "v0.0.2-audioset/passt-s-f128-p16-s10-ap.472.pt",
            "v.0.0.9/passt-s-kd-ap.486.pt",
        ),
    ),
    "s12": Variant(
        {"stride": 12},
        (
            "v0.0.2-audioset/passt-s-f128-p16-s12-ap.473-swa.pt",
            "v0.0.2-audioset/passt-s-f128-p16-s12-ap.470.pt",
        ),
    ),
    "s14": Variant(
        {"stride": 14},
        (
            "v0.0.2-audioset/passt-s-f128-p16-s14-ap.471-swa.pt",
            "v0.0.2-audioset/passt-s-f128-p16-s14-ap.469.pt",
        ),
    ),
    "s16": Variant(
        {"stride": 16},
        (
            "v0.0.2-audioset/passt-s-f128-p16-s16-ap.473-swa.pt",
            "v0.0.2-audioset/passt-s-f128-p16-s16-ap.468.pt",
            "v.0.0.7-audioset/passt-b-f128-p16-s16-ap.459.pt",
            "v.0.0.7-audioset/passt-u600-f128-p16-s16-ap.460.pt",
        ),
    ),
    "l": Variant({"depth": 7}, ("v.0.0.10/passt-l-kd-ap.47.pt",)),
    "20sec": Variant({"frames": 2000}, ("v0.0.5/passt-s-f128-20sec-p16-s10-ap.474-swa.pt",)),
    "30sec": Variant({"frames": 3000}, ("v0.0.5/passt-s-f128-30sec-p16-s10-ap.473-swa.pt",)),
    "hop160": Variant(
        {"frames": 2000, "hop_length": 160},
        ("v0.0.3-audioset/passt-s-f128-stfthop160-p16-s10-ap.473-swa.pt",),
    ),
    "hop100": Variant(
        {"frames": 3200, "hop_length": 100},
        ("v0.0.3-audioset/passt-s-f128-stfthop100-p16-s10-ap.473-swa.pt",),
    ),
    "fsd50k": Variant({"classes": 200}, ("v0.0.5/fsd50k-passt-s-f128-p16-s10-ap.655.pt",)),
    "fsd50k-s16": Variant(
        {"classes": 200, "stride": 16}, ("v0.0.5/fsd50k-passt-s-n-f128-p16-s16-ap.642.pt",)
    ),
    "openmic": Variant(
        {"classes": 20},
        (
            "v0.0.4-openmic/openmic2008.passt-u-f128-p16-s10-ap.85-swa.pt",
            "v0.0.4-openmic/openmic2008.passt-u-f128-p16-s10-ap.85.pt",
        ),
    ),
    "esc50": Variant({"classes": 50}, ("v.0.0.6/esc50.zip",)),
}


def load_passt(
    place: str | Path, variant: str | None = None, patchout: Mapping[str, Any] | None = None
) -> Passt:
    """Load a network, strictly by key and shape.

    Args:
        place: file of published weights (`.pt`, or `.safetensors` with the same names, plain or
            nested as in the HEAR package), such a file on the Hugging Face hub as
            "hf://OWNER/REPOSITORY/FILE", or a folder that `Passt.save_pretrained` wrote.
        variant: key of `VARIANTS`. A file needs it, for its tensors do not tell the hop; a folder
            knows it itself.
        patchout: the arguments `patchout_*` of `Passt`, for training.

    Returns:
        The network in evaluation mode, in float32.

    Raises:
        FileNotFoundError: nothing at that place.
        ValueError: no or an unknown variant, a file that cannot be read safely, or tensors that are
            missing, left over or misshapen.
    """
    path = fetch(str(place)) if str(place).startswith(HUB) else Path(place)
    is_folder = str(place) != "" and path.is_dir()
    if is_folder and variant is None:
        return load_saved(Passt, path, torch.float32, patchout).eval()
    if variant not in VARIANTS:
        raise ValueError(
            f"variant is {variant!r}; a file of weights needs one of {', '.join(VARIANTS)}"
        )
    if is_folder:
        raise ValueError(f"{path} is a folder, whose config.json tells its sizes: name no variant")
    if not path.is_file():
        files = " or ".join(f"{RELEASES}/{name}" for name in VARIANTS[variant].releases)
        raise FileNotFoundError(f"no file {str(place)!r}; weights of variant {variant} are {files}")
    with torch.device("meta"):
        model = Passt(**VARIANTS[variant].sizes, **(patchout or {}))
    tensors = unwrap(read_tensors(path))
    check_tensors(model, tensors, f"{path} as variant {variant}")
    model.load_state_dict(tensors, strict=True, assign=True)
    return model.float().eval()


def fetch(address: str) -> Path:
    """The local copy of "hf://OWNER/REPOSITORY/FILE", downloaded once."""
    from transformers.utils.hub import cached_file

    owner, _, rest = address.removeprefix(HUB).partition("/")
    repository, _, file = rest.partition("/")
    if not (owner and repository and file):
        raise ValueError(f"{address} must be {HUB}OWNER/REPOSITORY/FILE")
    try:
        return Path(str(cached_file(f"{owner}/{repository}", file)))
    except OSError as error:
        raise FileNotFoundError(
            f"{address} cannot be had from the Hugging Face hub; fetch the file by other means and "
            "give its path"
        ) from error


def unwrap(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's own tensors, out of the nesting of the HEAR package where there is one."""
    if WRAPPER_DEVICE not in tensors:
        return dict(tensors)
    return {n.removeprefix(WRAPPED): t for n, t in tensors.items() if n != WRAPPER_DEVICE}


def adapt_imagenet(tensors: Mapping[str, Tensor], model: Passt) -> dict[str, Tensor]:
    """Weights of an image transformer (DeiT-B distilled, arXiv 2012.12877) as a start for training.

    The square grid of positions is resized bicubically to rows by columns; its mean over columns
    gives the vectors of the rows and the other way round. The kernels of the three colours are
    summed. The heads, which name pictures, stay those of `model`.

    Args:
        tensors: `pos_embed` (1, 2 + n n, W), `patch_embed.proj.weight` (W, 3, 16, 16), and the rest
            under the names of `Passt`.
        model: the network to be trained.

    Returns:
        A complete state of `model`.

    Raises:
        ValueError: positions that are no square, or tensors missing or misshapen, by name.
    """
    own = {name: t for name, t in tensors.items() if not name.startswith("head")}
    for name in ("pos_embed", "patch_embed.proj.weight"):
        if name not in own:
            raise ValueError(f"{name} is missing: is this a distilled image transformer?")
    positions = own.pop("pos_embed")  # (1, 2 + n n, W)
    side = math.isqrt(positions.shape[1] - 2)
    if side**2 != positions.shape[1] - 2:
        raise ValueError(f"pos_embed {tuple(positions.shape)} holds two tokens and no square grid")
    size = (model.freq_new_pos_embed.shape[2], model.time_new_pos_embed.shape[3])
    grid = positions[:, 2:].transpose(1, 2).unflatten(2, (side, side))  # (1, W, n, n)
    grid = functional.interpolate(grid, size=size, mode="bicubic", align_corners=False)
    own["new_pos_embed"] = positions[:, :2]
    own["freq_new_pos_embed"] = grid.mean(dim=3, keepdim=True)
    own["time_new_pos_embed"] = grid.mean(dim=2, keepdim=True)
    own["patch_embed.proj.weight"] = own["patch_embed.proj.weight"].sum(dim=1, keepdim=True)
    own |= {name: t for name, t in model.state_dict().items() if name.startswith("head")}
    check_tensors(model, own, "the weights of the image transformer")
    return own
