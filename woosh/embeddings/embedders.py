"""Embeddings of sounds by name: aligners, taggers, plain statistics, and vectors from elsewhere.

| name | what it is |
|---|---|
| `woosh-tiny-clap`, or an aligner's folder | text-audio aligner of `woosh.embeddings.clap` |
| `laion-clap`, `laion-clap:NAME\\|FOLDER` | LAION-CLAP through transformers |
| `passt:VARIANT:FILE`, `passt:FOLDER` | PaSST, which also gives tags |
| `woosh-tiny-tagger`, `tagger:NAME\\|FOLDER\\|FILE` | a MobileNet, built in, trained here or of published weights, which also gives tags |
| `tagger-mid:NAME\\|FOLDER\\|FILE` | the same network's features from its middle, for tasks other than its own |
| `log-mel` | statistics of the log-mel spectrum, without any training |
| `FILE.npz` | embeddings that were computed elsewhere, such as OpenL3's |
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from woosh.audio import read_audio
from woosh.catalogue import DEFAULT_TAGGER, find_tagger, is_tagger
from woosh.checksums import hash_files
from woosh.outside_files import expanded, shown

DEFAULT_LAION_CLAP = "laion/clap-htsat-unfused"
LAION_SECONDS = 10
SHORTEST_SECONDS = 0.15  # a piece of this length or less is left out, as in AudioCraft
HEARD_SECONDS = 60.0  # of a file, from its beginning, when it is searched for or tagged
DIFFERENTIABLE_SECONDS = 5.0  # which every network hears in one piece
TAGGER_SECONDS = 10  # of a piece for a MobileNet, whose training clips were as long
PASST = "passt:"
TAGGER = "tagger:"
MID_TAGGER = "tagger-mid:"
MOST_NUMBERS = 2**26  # of an array of finished embeddings, and of all its vectors together
HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# What numpy and zipfile raise at a file that is not what it should be.
UNREADABLE = (
    ValueError,
    EOFError,
    BadZipFile,
    zlib.error,
    AttributeError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    TypeError,
    MemoryError,
)


class Heard(NamedTuple):
    """What an embedder makes of one clip."""

    embedding: Tensor  # (D,) float32, on the CPU
    logits: Tensor | None  # (P, C) float32 of the clip's P pieces; None without tags


@dataclass(frozen=True)
class Embedder:
    """A network, or a rule, that turns a clip of any length into one vector.

    Attributes:
        name: as `load_embedder` took it, without paths.
        sample_rate: of the audio that it takes, in Hz.
        width: D.
        weights: sha256 of the weights: of the file, or of all files' names and contents.
        protocol: how a clip of any length becomes one vector, in words.
        listen: mono audio (S,) -> `Heard`.
        text: texts -> (N, D) float32 on the CPU, in the same space; None if it knows no text.
        tags: labels that it knows, C; 0 if it is no tagger.
        differentiable: mono audio (B, S) of at most `DIFFERENTIABLE_SECONDS` -> (B, D), with gradients, as `embed` gives
            it; None if it has none.
    """

    name: str
    sample_rate: int
    width: int
    weights: str
    protocol: str
    listen: Callable[[Tensor], Heard]
    text: Callable[[Sequence[str]], Tensor] | None = None
    tags: int = 0
    differentiable: Callable[[Tensor], Tensor] | None = None

    def embed(self, audio: Tensor) -> Tensor:
        """Mono audio (S,) -> (D,) float32 on the CPU."""
        return self.listen(audio).embedding


@dataclass(frozen=True)
class ExternalEmbeddings:
    """Vectors that were computed elsewhere, by the name of the clip's file.

    Attributes:
        name: of the file.
        width: D.
        weights: sha256 of the file.
        vectors: key -> (D,) float32.
    """

    name: str
    width: int
    weights: str
    vectors: dict[str, Tensor]

    protocol = "computed elsewhere; frames, where there are several, averaged"

    def find(self, folder: Path, file: str) -> Tensor:
        """The vector (D,) of `file` in `folder`: under "folder/file", or under the file's own name.

        Args:
            folder: of the set; the last part of its path counts.
            file: path inside the folder, with forward slashes.

        Raises:
            ValueError: There is none.
        """
        keys = (f"{folder.resolve().name}/{file}", PurePosixPath(file).name)
        for key in keys:
            if key in self.vectors:
                return self.vectors[key]
        raise ValueError(f"{self.name} has no embedding {keys[0]!r}, nor one {keys[1]!r}")


def load_embedder(name: str, device: torch.device | str = "cpu") -> Embedder:
    """Load an embedder by its name: see the table above; the table's last line is `load_external`.

    Raises:
        FileNotFoundError: a file or folder that is not there.
        ValueError: an unknown name, or weights that cannot be read.
    """
    kind, _, rest = name.partition(":")
    if name == "log-mel":
        return _log_mel_embedder()
    if name.startswith(PASST):
        return _passt_embedder(name, device)
    if name.startswith((TAGGER, MID_TAGGER)) or is_tagger(name):
        return _tagger_embedder(name, device)
    if kind == "laion-clap":
        return _laion_embedder(rest or DEFAULT_LAION_CLAP, device)
    if name.endswith(".npz"):
        raise ValueError(f"{name} holds finished embeddings and cannot embed anything new")
    return _aligner_embedder(name, device)


def load_external(path: Path) -> ExternalEmbeddings:
    """Read an .npz of vectors (D,) or of frames (T, D), which are averaged, one array at a time.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it holds something else, values that are not finite, an array of more than `MOST_NUMBERS`, or vectors
            of more than that together.
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no embeddings at {path}")
    try:
        check_sizes(path)
        with np.load(path, allow_pickle=False) as file:
            # What a file of another kind is loaded as has no names.
            vectors = {key: _vector(file[key], shown(key)) for key in file.files}
    except OSError as error:  # of a place in the file that there is not, or of the disk
        raise OSError(f"{path} cannot be read: {error.strerror or error}") from error
    except UNREADABLE as error:
        raise ValueError(f"{path} is no .npz of plain arrays: {error}") from error
    widths = sorted({len(vector) for vector in vectors.values()})
    if len(widths) != 1:
        raise ValueError(f"{path} must hold embeddings of one width, it has {widths or 'none'}")
    return ExternalEmbeddings(path.name, widths[0], hash_files([path]), vectors)


def check_sizes(path: Path) -> None:
    """Check what the arrays of an .npz say of their sizes, before one is made: deflated zeros of gigabytes are a small file.

    Raises:
        ValueError: an array of more than `MOST_NUMBERS`, of another size than its member, or vectors of more together.
        zipfile.BadZipFile: it is no archive.
    """
    together = 0
    with ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                if version not in HEADER_READERS:
                    raise ValueError(f"{shown(member.filename)} is no array of numbers")
                shape, _, dtype = HEADER_READERS[version](file)
                told = math.prod(shape) * dtype.itemsize + file.tell()
            if told != member.file_size:
                raise ValueError(f"{shown(member.filename)} has another size than its header says")
            together += shape[-1] if shape else 1
            if math.prod(shape) > MOST_NUMBERS or together > MOST_NUMBERS:
                raise ValueError(f"{shown(member.filename)}: more than {MOST_NUMBERS} numbers")


def _vector(array: np.ndarray, place: str) -> Tensor:
    if array.ndim not in (1, 2) or array.size == 0 or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{place} must be numbers of shape (width,) or (frames, width), got {array.dtype} "
            f"{array.shape}"
        )
    vector = np.atleast_2d(array).mean(axis=0, dtype=np.float64).astype(np.float32)
    if not np.isfinite(vector).all():
        raise ValueError(f"{place} holds NaN or infinity")
    return torch.from_numpy(vector)


def read_to_embed(path: Path, embedder: Embedder) -> Tensor:
    """The first minute of a file as mono audio (S,) at the embedder's rate.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read, holds no samples, or values that are not finite.
    """
    audio = read_audio(path, embedder.sample_rate, longest_seconds=HEARD_SECONDS)[0]
    return to_embed(audio, path, embedder.sample_rate)


def to_embed(audio: np.ndarray, path: Path, sample_rate: int) -> Tensor:
    """Mono audio (S,) of a file at an embedder's rate as a tensor.

    Raises:
        ValueError: the resampled file holds no samples.
    """
    if len(audio) == 0:
        raise ValueError(f"{path} is too short: no sample is left at {sample_rate} Hz")
    return torch.from_numpy(audio)


def pieces(audio: Tensor, longest: int, shortest: int) -> list[Tensor]:
    """A clip (S,) as consecutive pieces of `longest` samples; the last one is as long as it is.

    A rest of `shortest` samples or fewer is left out, unless it is the whole clip.

    Raises:
        ValueError: audio that is not (samples,), or has none.
    """
    if audio.ndim != 1 or len(audio) == 0:
        raise ValueError(f"audio must be (samples,) and not empty, got {tuple(audio.shape)}")
    parts = list(audio.split(longest))
    if len(parts) > 1 and len(parts[-1]) <= shortest:
        parts.pop()
    return parts


def _log_mel_embedder() -> Embedder:
    """Mean, deviation and step of 64 mel bands, relative to the clip's loudest point."""
    from woosh.embeddings.log_mel_statistics import mel_decibels, statistics

    sample_rate, hop_length, bands = 48_000, 960, 64

    def listen(audio: Tensor) -> Heard:
        decibels = mel_decibels(audio[None], sample_rate, hop_length, bands)[0]
        return Heard(statistics(decibels).float(), None)

    return Embedder(
        name="log-mel",
        sample_rate=sample_rate,
        width=3 * bands,
        weights="none",
        protocol="statistics over the whole clip, loud frames only; gain does not matter",
        listen=listen,
    )


def passt_weights_of(name: str) -> tuple[str | None, Path]:
    """The variant, where one is named, and the weights of `passt:VARIANT:FILE` or `passt:FOLDER`.

    Raises:
        ValueError: no weights are named.
        FileNotFoundError: they are on the hub, and it cannot be reached or has no such file.
    """
    from woosh.taggers.passt_weights import HUB, VARIANTS, fetch

    rest = name.removeprefix(PASST)
    variant, _, place = rest.partition(":")
    if variant not in VARIANTS:
        variant, place = None, rest
    if not place:
        raise ValueError("PaSST needs its weights: passt:VARIANT:FILE, such as passt:s10:passt.pt")
    return variant, fetch(place) if place.startswith(HUB) else expanded(place)


def _passt_embedder(name: str, device: torch.device | str) -> Embedder:
    from woosh.taggers.passt_weights import load_passt

    variant, path = passt_weights_of(name)
    model = load_passt(path, variant)
    model.to(device)  # type: ignore[arg-type]  # diffusers hides the signature
    rate = model.log_mel.sample_rate
    seconds = max(1, round(model.config.frames * model.config.hop_length / rate))
    shortest = round(SHORTEST_SECONDS * rate)
    least = math.ceil(1.1 * shortest)  # the network needs 16 frames

    @torch.inference_mode()
    def listen(audio: Tensor) -> Heard:
        outputs = []
        for piece in pieces(audio.to(device), seconds * rate, shortest):
            padded = functional.pad(piece, (0, max(0, least - len(piece))))
            outputs.append(model(model.log_mel(padded[None])))
        features = torch.cat([output.features for output in outputs])  # (P, D)
        logits = torch.cat([output.logits for output in outputs])  # (P, C)
        return Heard(features.mean(dim=0).float().cpu(), logits.float().cpu())

    return Embedder(
        name=f"passt-{variant}" if variant else f"passt-{path.name}",
        sample_rate=rate,
        width=model.config.width,
        weights=hash_files(_weight_files(path)),
        protocol=f"mean over pieces of {seconds} s, not padded; a rest of 0.15 s or less left out",
        listen=listen,
        tags=model.config.classes,
    )


def tagger_weights_of(name: str) -> Path:
    """The folder or file of `tagger:NAME|FOLDER|FILE`, of `tagger-mid:` alike, or of a tagger's plain name.

    Raises:
        ValueError: none is named, or a folder holds no tagger.
        FileNotFoundError: nothing there.
    """
    place = name.removeprefix(TAGGER).removeprefix(MID_TAGGER)
    if not place:
        raise ValueError(
            f"a tagger needs its weights: tagger:{DEFAULT_TAGGER}, or tagger:FILE, such as tagger:mn04_as_mAP_432.pt"
        )
    return find_tagger(place)


def _tagger_embedder(name: str, device: torch.device | str) -> Embedder:
    from woosh.taggers import load_tagger
    from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
    from woosh.taggers.log_mel import LogMel
    from woosh.taggers.mid_level import mid_level_features
    from woosh.taggers.mobilenet import MobileNet
    from woosh.taggers.networks import hear, settings_of
    from woosh.taggers.published import load_published

    path, middle = tagger_weights_of(name), name.startswith(MID_TAGGER)
    if path.is_dir():
        tagger = load_tagger(path)
        model, front = tagger.network, tagger.log_mel
    else:
        model, front = load_published(path), LogMel()
    classes = settings_of(model)["classes"]
    if middle and not isinstance(model, MobileNet | DynamicMobileNet):
        raise ValueError(
            f"{name}: {path} is a {type(model).__name__}; only MobileNets have middle blocks: write tagger:{path}"
        )
    model.to(device)  # type: ignore[arg-type]  # diffusers hides the signature
    longest, shortest = (
        TAGGER_SECONDS * front.sample_rate,
        round(SHORTEST_SECONDS * front.sample_rate),
    )

    @torch.inference_mode()
    def listen(audio: Tensor) -> Heard:
        log_mels = [front(p[None])[:, None] for p in pieces(audio.to(device), longest, shortest)]
        if middle:
            found = torch.cat([mid_level_features(model, log_mel) for log_mel in log_mels])  # type: ignore[arg-type]
            return Heard(found.mean(dim=0).float().cpu(), None)
        outputs = [hear(model, log_mel) for log_mel in log_mels]
        features = torch.cat([output.features for output in outputs])  # (P, D)
        logits = torch.cat([output.logits for output in outputs])  # type: ignore[misc]  # (P, C)
        return Heard(features.mean(dim=0).float().cpu(), logits.float().cpu())

    return Embedder(
        name=f"tagger-mid-{path.stem}" if middle else f"tagger-{path.stem}",
        sample_rate=front.sample_rate,
        width=len(listen(torch.zeros(1)).embedding),
        weights=hash_files(_weight_files(path)),
        protocol=f"mean over pieces of {TAGGER_SECONDS} s, not padded; a rest of 0.15 s or less left out",
        listen=listen,
        tags=0 if middle else classes,
        differentiable=None
        if middle
        else lambda audio: hear(model, front(audio.to(device))[:, None]).features.cpu(),
    )


def _weight_files(path: Path) -> list[Path]:
    """The file itself, or the safetensors of a folder."""
    return sorted(path.rglob("*.safetensors")) if path.is_dir() else [path]


def _laion_embedder(name: str, device: torch.device | str) -> Embedder:
    """LAION-CLAP (arXiv 2211.06687) from a folder or by its name on the hub."""
    from transformers import ClapModel, ClapProcessor
    from transformers.utils.hub import cached_file

    try:
        model = ClapModel.from_pretrained(name, use_safetensors=True).to(device).eval()  # type: ignore[arg-type]
        processor = ClapProcessor.from_pretrained(name)
        weights = cached_file(name, "model.safetensors")
    except OSError as error:
        raise FileNotFoundError(
            f"LAION-CLAP cannot be loaded from {name!r}, neither a folder with model.safetensors "
            "nor a model on the hub that can be reached; give the folder: laion-clap:FOLDER"
        ) from error
    rate = processor.feature_extractor.sampling_rate
    # Longer input would be cropped at random by the processor.
    longest, shortest = LAION_SECONDS * rate, round(SHORTEST_SECONDS * rate)

    @torch.inference_mode()
    def listen(audio: Tensor) -> Heard:
        rows = []
        for piece in pieces(audio.cpu(), longest, shortest):
            inputs = processor.feature_extractor(
                piece.numpy(), sampling_rate=rate, return_tensors="pt"
            )
            rows.append(model.get_audio_features(**inputs.to(device)).pooler_output)  # (1, D)
        mean = torch.cat(rows).mean(dim=0)
        return Heard(functional.normalize(mean, dim=0).float().cpu(), None)

    @torch.inference_mode()
    def text(texts: Sequence[str]) -> Tensor:
        inputs = processor.tokenizer(
            list(texts), padding=True, truncation=True, return_tensors="pt"
        )
        outputs: Any = model.get_text_features(**inputs.to(device))
        return outputs.pooler_output.float().cpu()

    return Embedder(
        name=f"laion-clap-{Path(name).name}",
        sample_rate=rate,
        width=model.config.projection_dim,
        weights=hash_files([Path(str(weights))]),
        protocol=f"unit vector of the mean over pieces of {LAION_SECONDS} s, short ones repeated "
        "to that length; a rest of 0.15 s or less left out",
        listen=listen,
        text=text,
    )


def _aligner_embedder(name: str, device: torch.device | str) -> Embedder:
    from woosh.catalogue import find_aligner
    from woosh.embeddings.clap import load_clap

    folder = find_aligner(name)
    clap = load_clap(name, device)

    @torch.inference_mode()
    def listen(audio: Tensor) -> Heard:
        return Heard(clap.embed_audio(audio[None].to(device))[0].float().cpu(), None)

    @torch.inference_mode()
    def text(texts: Sequence[str]) -> Tensor:
        return clap.embed_text(list(texts)).float().cpu()

    return Embedder(
        name=folder.resolve().name,
        sample_rate=clap.sample_rate,
        width=clap.width,
        weights=hash_files(_weight_files(folder)),
        protocol="unit vector of the mean over segments of 5 s, the last one padded with "
        f"{clap.head.config.padding}, up to 60 s",
        listen=listen,
        text=text,
        differentiable=lambda audio: clap.embed_audio(audio.to(device)).cpu(),
    )
