"""PaSST, the patchout spectrogram transformer (arXiv 2110.05069): log-mel -> classes and features.

Parameters bear the names of the published weights (github.com/kkoutini/PaSST), so that these load
without renaming. Shapes: B batch, F rows and T columns of patches, N tokens, W width, H heads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Generator, Tensor, nn
from torch.nn import functional

from woosh.log_mel import LogMel

PATCH_SIZE = 16  # bands and frames
EPSILON = 1e-6
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


class PatchEmbedding(nn.Module):
    """Overlapping 16 x 16 patches of the spectrogram, each projected: (B, 1, bands, frames) -> (B, W, F, T)."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, width, PATCH_SIZE, stride)

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self.proj(spectrogram)


class Attention(nn.Module):
    """Attention of all tokens to all: (B, N, W) -> (B, N, W).

    With `scrambled_heads` the heads' results (B, H, N, W / H) are read as (B, N, W) as they lie in
    memory, so that a token receives what one head made of other tokens.
    """

    def __init__(self, width: int, heads: int, scrambled_heads: bool) -> None:
        super().__init__()
        self.heads, self.scrambled_heads = heads, scrambled_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )  # (B, H, N, W / H) each
        mixed = functional.scaled_dot_product_attention(query, key, value)
        ordered = mixed if self.scrambled_heads else mixed.transpose(1, 2)
        return self.proj(ordered.reshape(x.shape))


class FeedForward(nn.Module):
    """Two linear layers, four times the width between, exact GELU: (..., W) -> (..., W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention and feed-forward part, each on the normalised tokens, each added: (B, N, W) -> (B, N, W)."""

    def __init__(self, width: int, heads: int, scrambled_heads: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPSILON)
        self.attn = Attention(width, heads, scrambled_heads)
        self.norm2 = nn.LayerNorm(width, eps=EPSILON)
        self.mlp = FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PasstOutput(NamedTuple):
    """What the network says of each clip."""

    logits: Tensor  # (B, classes)
    features: Tensor  # (B, W), mean of the class token and the distillation token


class Passt(ModelMixin, ConfigMixin):
    """Vision transformer on overlapping patches of a log-mel spectrogram.

    A patch's position is the sum of a vector for its row (frequency) and one for its column (time),
    so that any shorter clip fits. In training, patchout leaves patches out: whole columns, whole
    rows, or any. The defaults are those of the published PaSST-S with stride 10, for 10 s of 32 kHz
    audio and AudioSet's classes; `VARIANTS` has the others.

    Attribute `log_mel` is the front end that the network was trained with.

    Args:
        width: channels of the tokens, W.
        depth: transformer blocks.
        heads: attention heads, H.
        stride: bands and frames from one patch of 16 x 16 to the next.
        frames: spectrogram frames that the position vectors are made for; longer input is cut.
        hop_length: samples per spectrogram frame.
        classes: of the head.
        patchout_time: columns left out in training.
        patchout_frequency: rows left out in training.
        patchout_tokens: patches of the rest left out in training, wherever they are.
        scrambled_heads: whether attention joins its heads in the wrong order, as the released
            Woosh-CLAP does, whose weights fit nothing else.
    """

    @register_to_config
    def __init__(  # noqa: PLR0913
        self,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        stride: int = 10,
        frames: int = 998,
        hop_length: int = 320,
        classes: int = 527,
        patchout_time: int = 0,
        patchout_frequency: int = 0,
        patchout_tokens: int = 0,
        scrambled_heads: bool = False,
    ) -> None:
        super().__init__()
        if not 1 <= stride <= PATCH_SIZE <= frames:
            raise ValueError(
                f"stride is {stride} and frames {frames}: patches of {PATCH_SIZE} need a stride of 1 "
                f"to {PATCH_SIZE} and {PATCH_SIZE} frames or more"
            )
        if width % heads != 0:
            raise ValueError(f"width {width} cannot be shared by heads {heads}")
        self.patchout = (patchout_time, patchout_frequency, patchout_tokens)
        if min(self.patchout) < 0:
            raise ValueError(f"patchout must not be negative, got {self.patchout}")
        self.log_mel = LogMel(hop_length=hop_length)
        # As many as the published networks have; with stride 12 the convolution gives one column less.
        rows, columns = self.log_mel.bands // stride, frames // stride
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, width))
        self.new_pos_embed = nn.Parameter(torch.zeros(1, 2, width))
        self.freq_new_pos_embed = nn.Parameter(torch.zeros(1, width, rows, 1))
        self.time_new_pos_embed = nn.Parameter(torch.zeros(1, width, 1, columns))
        self.patch_embed = PatchEmbedding(width, stride)
        self.blocks = nn.Sequential(*(Block(width, heads, scrambled_heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))
        # A second head that the published files hold and nothing uses, hence nothing trains.
        self.head_dist = nn.Linear(width, classes).requires_grad_(False)
        self.initialise()

    def initialise(self) -> None:
        """Truncated normal weights of deviation .02 and zero biases, except in the convolution."""
        for parameter in (
            self.cls_token,
            self.dist_token,
            self.new_pos_embed,
            self.freq_new_pos_embed,
            self.time_new_pos_embed,
        ):
            nn.init.trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, log_mel: Tensor, generator: Generator | None = None) -> PasstOutput:
        """Classify spectrograms; the same patches stay for the whole batch.

        Args:
            log_mel: (B, 128, frames) of `self.log_mel`, at least 16 frames; those beyond the
                positions are cut off.
            generator: draws, in training, the patches that stay and the positions of a shorter
                clip, on its own device; None is torch's default generator, on the CPU.

        Raises:
            ValueError: a spectrogram of another shape, or shorter than patchout can spare.
        """
        patches = self.embed_patches(log_mel, generator)  # (B, W, F, T)
        tokens = self.leave_out(patches, generator)  # (B, N, W)
        first = torch.cat([self.cls_token, self.dist_token], dim=1) + self.new_pos_embed
        x = torch.cat([first.expand(len(tokens), -1, -1), tokens], dim=1)  # (B, 2 + N, W)
        x = self.norm(self.blocks(x))
        features = x[:, :2].mean(dim=1)  # (B, W)
        return PasstOutput(self.head(features), features)

    def probabilities(self, audio: Tensor) -> Tensor:
        """Audio (B, S) at 32 kHz -> probability of each class (B, classes), not exclusive.

        Raises:
            ValueError: audio that is not (B, S) or shorter than 16 frames (.15 s by default).
        """
        return torch.sigmoid(self(self.log_mel(audio)).logits)

    def embed_patches(self, log_mel: Tensor, generator: Generator | None) -> Tensor:
        """Log-mel (B, 128, frames) -> patches with their positions (B, W, F, T)."""
        bands = self.log_mel.bands
        if log_mel.ndim != 3 or log_mel.shape[1] != bands or log_mel.shape[2] < PATCH_SIZE:
            raise ValueError(
                f"log_mel must be (batch, {bands}, frames) with {PATCH_SIZE} frames or more, "
                f"got {tuple(log_mel.shape)}"
            )
        spectrogram = log_mel[:, None].to(self.patch_embed.proj.weight.dtype)
        columns = self.time_new_pos_embed.shape[3]
        patches = self.patch_embed(spectrogram)[..., :columns]  # (B, W, F, T)
        spare = columns - patches.shape[3]
        start = draw_start(spare + 1, generator) if self.training else 0
        time = self.time_new_pos_embed[..., start : start + patches.shape[3]]
        return patches + time + self.freq_new_pos_embed[:, :, : patches.shape[2]]

    def leave_out(self, patches: Tensor, generator: Generator | None) -> Tensor:
        """Patches (B, W, F, T) -> the tokens (B, N, W) that stay: all F T of them in evaluation."""
        columns, rows, tokens = self.patchout if self.training else (0, 0, 0)
        patches = keep_some(patches, 3, columns, generator)
        patches = keep_some(patches, 2, rows, generator)
        flat = patches.flatten(2).transpose(1, 2)  # (B, F T, W)
        return keep_some(flat, 1, tokens, generator)


def draw_start(count: int, generator: Generator | None) -> int:
    """One of 0 to count - 1."""
    device = None if generator is None else generator.device
    return int(torch.randint(count, (), generator=generator, device=device))


def keep_some(x: Tensor, dim: int, dropped: int, generator: Generator | None) -> Tensor:
    """Drop so many entries of a dimension, drawn at random; those that stay keep their order."""
    if dropped == 0:
        return x
    count = x.shape[dim]
    if dropped >= count:
        raise ValueError(
            f"patchout of {dropped} leaves nothing of {count}: lower it or take longer clips"
        )
    device = None if generator is None else generator.device
    order = torch.randperm(count, generator=generator, device=device)
    return x.index_select(dim, order[dropped:].sort().values.to(x.device))


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
        return Passt.from_pretrained(path, **(patchout or {})).eval()
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
    check(model, tensors, f"{path} as variant {variant}")
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


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a `.safetensors` or `.pt` file by name."""
    import pickle  # noqa: TID251 - only the name of the error

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.suffix not in (".safetensors", ".pt"):
        raise ValueError(f"{path} must be a .pt or a .safetensors file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} is damaged or holds more than tensors, and is refused") from error
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise ValueError(f"{path} must hold tensors by name and nothing else")
    return tensors


def unwrap(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's own tensors, out of the nesting of the HEAR package where there is one."""
    if WRAPPER_DEVICE not in tensors:
        return dict(tensors)
    return {n.removeprefix(WRAPPED): t for n, t in tensors.items() if n != WRAPPER_DEVICE}


def check(model: Passt, tensors: Mapping[str, Tensor], title: str) -> None:
    """Compare names and shapes of tensors with those of a network.

    Raises:
        ValueError: what is missing, left over or misshapen, by name.
    """
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    problems = [f"{name} is missing" for name in shapes if name not in tensors]
    for name, tensor in tensors.items():
        if name not in shapes:
            problems.append(f"{name} is left over")
        elif tuple(tensor.shape) != shapes[name]:
            problems.append(f"{name} has shape {tuple(tensor.shape)}, expected {shapes[name]}")
        elif not tensor.is_floating_point():
            problems.append(f"{name} holds {tensor.dtype}, expected floating numbers")
    if problems:
        more = f" and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ValueError(f"{title}: {'; '.join(problems[:10])}{more}")


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
    check(model, own, "the weights of the image transformer")
    return own
