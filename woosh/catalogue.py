"""Model folders: where the built-in ones are, and what a folder says of itself before it is loaded.

Only the folder's JSON files and the headers of its weights are read, so that a wrong request is
answered at once; nothing in this file needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from woosh.checksums import hash_files
from woosh.outside_files import (
    SAMPLE_RATES,
    expanded,
    fitted,
    is_file,
    is_folder,
    lines_of,
    parse_object,
    read_object,
    read_text,
    shaped,
    shown,
)

BUILT_IN = Path(__file__).parent / "models"
DEFAULT_MODEL = "woosh-small"
FEW_STEP_MODEL = "woosh-tiny-fast"
DEFAULT_VIDEO_MODEL = "woosh-small-video"
LONGEST_SECONDS = 600.0  # of one call, in windows where a model's own length is shorter
DEFAULT_ALIGNER = "woosh-tiny-clap"
DEFAULT_TAGGER = "woosh-tiny-tagger"
PARTS = ("autoencoder", "transformer", "text_encoder", "tokenizer")
VISUAL = "visual"  # folder of the network that watches, beside the parts of a model that sees
GRAPHS_FILE = "graphs.json"  # in a folder of ONNX graphs that a model was exported into
GRAPHS_FORMAT = "woosh-graphs 1"
CHANGES_FILE = "changes.safetensors"  # weights of a transformer that another's are changed to
CHANGES_FORMAT = "woosh-changes"
MOST_HEADER_BYTES = 100_000_000  # of a safetensors file, as the format says
SHARED = "_parts_of"  # in model_index.json; diffusers passes over names that begin like this


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a pipeline folder without loading it."""

    name: str
    folder: Path
    sample_rate: int  # Hz
    longest: float  # seconds that it makes in one piece
    few_step: bool  # a distilled (flow-map) model
    video_channels: int | None  # of the features of a video that it takes, if it takes any
    told_length: bool  # whether it is told how long the sound itself is
    learned_solver: bool  # whether it has a solver that was fitted to it
    visual: Path | None  # folder of the network that makes these, if it has one
    parts_of: str | None  # the built-in model that holds the parts which its folder has not
    parameters: int
    size: int  # bytes of its own files
    licence: str  # of the weights, an SPDX identifier, or "not stated"
    graphs: bool = False  # ONNX graphs, and not networks of torch


@dataclass(frozen=True)
class GraphFacts:
    """Of a folder's graphs.json: what is known of a model of graphs without loading it. `docs/onnx.md` has the meanings."""

    format: str
    name: str
    licence: str
    parameters: int
    sample_rate: int
    n_fft: int
    hop_length: int
    latent_channels: int
    latent_rate: float
    max_frames: int
    frames_per_token: int
    text_tokens: int
    vocabulary_size: int
    flow_map: bool
    summary: bool
    video_channels: int | None

    def __post_init__(self) -> None:
        if self.format != GRAPHS_FORMAT:
            raise ValueError(
                f"format is {shown(self.format)}, not {GRAPHS_FORMAT}: export the model again"
            )
        whole = (
            "n_fft",
            "hop_length",
            "latent_channels",
            "max_frames",
            "frames_per_token",
            "text_tokens",
        )
        _check_positive(**{name: getattr(self, name) for name in whole})
        _check_rate(self.sample_rate)
        if self.latent_rate <= 0:
            raise ValueError(f"latent_rate is {self.latent_rate}; it must be above 0")


@dataclass(frozen=True)
class _TransformerFacts:
    """Of a transformer's config.json."""

    flow_map: bool
    max_frames: int
    video_channels: int | None = None
    summary: bool = False

    def __post_init__(self) -> None:
        _check_positive(max_frames=self.max_frames)


@dataclass(frozen=True)
class _AutoencoderFacts:
    """Of an autoencoder's config.json."""

    hop_length: int
    sample_rate: int

    def __post_init__(self) -> None:
        _check_positive(hop_length=self.hop_length)
        _check_rate(self.sample_rate)


@dataclass(frozen=True)
class _Entry:
    """Of a tensor, in the header of a safetensors file."""

    shape: tuple[int, ...]
    data_offsets: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.data_offsets) != 2 or min(*self.shape, *self.data_offsets) < 0:
            raise ValueError("a tensor's place is not two whole numbers from 0 on")


@dataclass(frozen=True)
class AlignerInfo:
    """What is known of an aligner's folder without loading it."""

    name: str
    folder: Path
    text_encoder_of: str | None  # the model that holds its text encoder, if it is not its own
    parameters: int  # its own
    size: int  # bytes of its own files
    licence: str  # of the weights


@dataclass(frozen=True)
class TaggerInfo:
    """What is known of a tagger's folder without loading it."""

    name: str
    folder: Path
    labels: int
    parameters: int
    size: int  # bytes of its own files
    licence: str  # of the weights


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")


def _check_rate(sample_rate: int) -> None:
    low, high = SAMPLE_RATES
    if not low <= sample_rate <= high:
        raise ValueError(f"sample_rate is {sample_rate}; it must be from {low} to {high}")


def window_frames(max_frames: int, sees: bool) -> int:
    """Latent frames that a transformer makes in one piece: twice `max_frames`, or these alone if it hears of a video.

    What belongs to a moment of the picture is learned at the lengths of training and not beyond them.
    """
    return max_frames if sees else 2 * max_frames


def longest_seconds(frames: int, hop_length: int, sample_rate: int) -> float:
    """Longest sound of that many latent frames, two of which stand at its ends."""
    return (frames - 1) * hop_length / sample_rate


def built_in_models() -> list[ModelInfo]:
    """Describe the models that came with the package, sorted by name."""
    return [describe_model(folder) for folder in _built_in_folders("WooshPipeline")]


def built_in_aligners() -> list[AlignerInfo]:
    """Describe the aligners that came with the package, sorted by name."""
    return [describe_aligner(folder) for folder in _built_in_folders("WooshClap")]


def built_in_taggers() -> list[TaggerInfo]:
    """Describe the taggers that came with the package, sorted by name."""
    return [describe_tagger(folder) for folder in _built_in_folders("AudioTagger")]


def _built_in_folders(kind: str) -> list[Path]:
    folders = [index.parent for index in sorted(BUILT_IN.glob("*/model_index.json"))]
    return [folder for folder in folders if _kind(folder) == kind]


def _kind(folder: Path) -> str:
    return str(read_object(folder / "model_index.json").get("_class_name"))


def find_model(name: str) -> Path:
    """Return the folder of a built-in generator's name or of a path.

    Raises:
        FileNotFoundError: neither a built-in name nor a folder.
        ValueError: a folder that is no model folder.
    """
    return _find(name, "model", "WooshPipeline")


def find_aligner(name: str) -> Path:
    """Return the folder of a built-in aligner's name or of a path.

    Raises:
        FileNotFoundError: neither a built-in name nor a folder.
        ValueError: a folder that holds no aligner.
    """
    folder = _find(name, "aligner", "WooshClap")
    kind = _kind(folder)
    if kind != "WooshClap":
        raise ValueError(f"{folder} holds a {kind}, not a WooshClap: name an aligner")
    return folder


def is_tagger(name: str) -> bool:
    """Whether a name is a built-in tagger's, or a path that of a tagger's folder."""
    return _is_of(name, "AudioTagger")


def is_aligner(name: str) -> bool:
    """Whether a name is a built-in aligner's, or a path that of an aligner's folder."""
    return _is_of(name, "WooshClap")


def _is_of(name: str, kind: str) -> bool:
    folder = BUILT_IN / name if is_built_in(name) else expanded(name)
    return is_file(folder / "model_index.json") and _kind(folder) == kind


def find_tagger(name: str) -> Path:
    """Return the folder of a built-in tagger's name or of a path, or the file of published weights.

    Raises:
        FileNotFoundError: neither a built-in name nor a folder or file.
        ValueError: a folder that holds no tagger.
    """
    if is_file(expanded(name)):
        return expanded(name)
    folder = _find(name, "tagger", "AudioTagger")
    kind = _kind(folder)
    if kind != "AudioTagger":
        raise ValueError(f"{folder} holds a {kind}, not an AudioTagger: name a tagger")
    return folder


def is_built_in(name: str) -> bool:
    """Whether a model of that name came with the package."""
    plain = bool(name) and Path(name).name == name
    return plain and is_file(BUILT_IN / name / "model_index.json")


def _find(name: str, word: str, kind: str) -> Path:
    if is_built_in(name):
        return BUILT_IN / name
    folder = expanded(name)
    if not name or not is_folder(folder):
        names = [path.name for path in _built_in_folders(kind)]
        place = "a folder or a file" if kind == "AudioTagger" else "a folder"
        raise FileNotFoundError(
            f"unknown {word} {name!r}: neither built in ({', '.join(names) or 'none'}) nor {place}"
        )
    if kind == "WooshPipeline" and (folder / GRAPHS_FILE).is_file():
        return folder
    if not (folder / "model_index.json").is_file():
        released = (folder / "weights.safetensors").is_file()
        remedy = "name a folder that `woosh convert` or a recipe's packaging made"
        if released:
            remedy = "it is a released checkpoint, so run `woosh convert` on it first"
        raise ValueError(f"{folder} has no model_index.json: {remedy}")
    return folder


def describe_model(folder: Path) -> ModelInfo:
    """Read what a pipeline folder says of itself.

    Raises:
        FileNotFoundError: one of its parts is missing.
        ValueError: a file in it is damaged, or it holds another kind of pipeline.
    """
    if (folder / GRAPHS_FILE).is_file():
        return _describe_graphs(folder)
    index = read_object(folder / "model_index.json")
    if index.get("_class_name") != "WooshPipeline":
        raise ValueError(f"{folder} holds a {shown(index.get('_class_name'))}, not a WooshPipeline")
    parts = part_folders(folder)
    place, autoencoder_place = (
        parts[part] / "config.json" for part in ("transformer", "autoencoder")
    )
    transformer = shaped(_TransformerFacts, read_object(place), str(place))
    autoencoder = shaped(_AutoencoderFacts, read_object(autoencoder_place), str(autoencoder_place))
    visuals = [place / VISUAL for place in _places(folder) if (place / VISUAL).is_dir()]
    visual = visuals[0] if visuals and transformer.video_channels else None
    holding = [parts[part] for part in PARTS[:3]] + ([visual] if visual else [])
    frames = window_frames(transformer.max_frames, transformer.video_channels is not None)
    return ModelInfo(
        name=folder.resolve().name,
        folder=folder,
        sample_rate=autoencoder.sample_rate,
        longest=longest_seconds(frames, autoencoder.hop_length, autoencoder.sample_rate),
        few_step=transformer.flow_map,
        video_channels=transformer.video_channels,
        told_length=transformer.summary,
        learned_solver=index.get("learned_steps") is not None,
        visual=visual,
        parts_of=index.get(SHARED),
        parameters=sum(_parameters(part) for part in holding),
        size=_size(folder),
        licence=_licence(folder),
    )


def _describe_graphs(folder: Path) -> ModelInfo:
    place = folder / GRAPHS_FILE
    facts = shaped(GraphFacts, read_object(place), str(place))
    frames = window_frames(facts.max_frames, facts.video_channels is not None)
    return ModelInfo(
        name=facts.name,
        folder=folder,
        sample_rate=facts.sample_rate,
        longest=longest_seconds(frames, facts.hop_length, facts.sample_rate),
        few_step=facts.flow_map,
        video_channels=facts.video_channels,
        told_length=facts.summary,
        learned_solver=False,
        visual=None,
        parts_of=None,
        parameters=facts.parameters,
        size=_size(folder),
        licence=facts.licence,
        graphs=True,
    )


def _size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def model_checksum(folder: Path) -> str:
    """sha256 of all that a generator's sounds follow from: its settings, weights and tokenizer, wherever they lie.

    Raises:
        FileNotFoundError: a part is missing.
        ValueError: a file is damaged.
    """
    if (folder / GRAPHS_FILE).is_file():
        return hash_files(sorted(path for path in folder.rglob("*") if path.is_file()))
    places = list(part_folders(folder).values())
    for place in places:
        if (place / CHANGES_FILE).is_file():
            bases = changed_models(_header(place / CHANGES_FILE)[1])
            places += [part_folders(find_model(base))["transformer"] for base in bases]
    files = [path for place in places for path in sorted(place.iterdir()) if path.is_file()]
    return hash_files([folder / "model_index.json", *files])


def part_folders(folder: Path) -> dict[str, Path]:
    """Where each part of a generator lies: in its folder, or in the built-in model that `SHARED` names, and so on.

    Raises:
        FileNotFoundError: a part is in none.
        ValueError: the name is no built-in model's, or the folder holds graphs.
    """
    if (folder / GRAPHS_FILE).is_file():
        raise ValueError(
            f"{folder} holds graphs and no networks: name the model that they were made of"
        )
    places = _places(folder)
    found = {}
    for part in PARTS:
        there = [place / part for place in places if (place / part).is_dir()]
        if not there:
            raise FileNotFoundError(f"{folder} is incomplete: it has no folder {part}")
        found[part] = there[0]
    return found


def _places(folder: Path) -> list[Path]:
    """A generator's folder, that of the built-in model whose parts it shares, and so on."""
    places = [folder]
    while (shared := read_object(places[-1] / "model_index.json").get(SHARED)) is not None:
        plain = shared and Path(str(shared)).name == shared
        if not plain or not is_folder(BUILT_IN / shared) or BUILT_IN / shared in places:
            raise ValueError(
                f"{places[-1]} takes parts of {shown(shared)}, which is no other built-in model"
            )
        places.append(BUILT_IN / shared)
    return places


@dataclass(frozen=True)
class AlignerIndex:
    """What an aligner's model_index.json says of its parts."""

    audio_encoder: str  # class of the network that hears
    text_encoder_of: str | None = None  # the model that holds its text encoder


def read_aligner_index(folder: Path) -> AlignerIndex:
    """What an aligner's folder says of its parts.

    Raises:
        FileNotFoundError: it says nothing.
        ValueError: it is damaged.
    """
    path = folder / "model_index.json"
    return shaped(AlignerIndex, read_object(path), str(path))


def describe_aligner(folder: Path) -> AlignerInfo:
    """Read what an aligner's folder says of itself.

    Raises:
        FileNotFoundError: one of its parts is missing.
        ValueError: a file in it is damaged.
    """
    shared = read_aligner_index(folder).text_encoder_of
    parts = ("audio_encoder", "head", *(() if shared else ("text_encoder",)))
    return AlignerInfo(
        name=folder.resolve().name,
        folder=folder,
        text_encoder_of=shared,
        parameters=sum(_parameters(folder / part) for part in parts),
        size=_size(folder),
        licence=_licence(folder),
    )


def describe_tagger(folder: Path) -> TaggerInfo:
    """Read what a tagger's folder says of itself.

    Raises:
        FileNotFoundError: one of its parts is missing.
        ValueError: a file in it is damaged.
    """
    labels = folder / "labels.txt"
    if not labels.is_file():
        raise FileNotFoundError(f"{labels} is missing")
    return TaggerInfo(
        name=folder.resolve().name,
        folder=folder,
        labels=len(lines_of(read_text(labels))),
        parameters=_parameters(folder / "network"),
        size=_size(folder),
        licence=_licence(folder),
    )


def _weights(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no .safetensors file")
    return files


def _parameters(folder: Path) -> int:
    """Parameters of the network in a folder, whole or kept as changes of a built-in model's transformer."""
    return sum(math.prod(shape) for shape in _shapes(folder).values())


def _shapes(folder: Path) -> dict[str, list[int]]:
    """Shapes of a network's tensors by name, from the headers of its files."""
    changes = folder / CHANGES_FILE
    if not changes.is_file():
        headers = [_header(path)[0] for path in _weights(folder)]
        return {name: shape for header in headers for name, shape in header.items()}
    shapes, facts = _header(changes)
    bases = changed_models(facts)
    unknown = [base for base in bases if not is_built_in(base)]
    if unknown or not bases:
        raise ValueError(f"{changes} changes {(*unknown, '')[0]!r}, which is no built-in model")
    own = {name: shape for name, shape in shapes.items() if ".lora_" not in name}
    for base in reversed(bases):
        own = _shapes(part_folders(BUILT_IN / base)["transformer"]) | own
    return own


def changed_models(facts: Mapping[str, str]) -> tuple[str, ...]:
    """The built-in models that a file of changes names in its metadata: the changed one, and those whose changes come first."""
    return tuple(facts.get("base", "").split())


def _header(path: Path) -> tuple[dict[str, list[int]], dict[str, str]]:
    """Shapes by name and metadata of a safetensors file: 8 bytes of length, then JSON.

    The scales of eight-bit weights (`woosh.compact_weights.SCALES`) are left out: they are no parameters.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        # A length past the file's end would ask for as much memory as a damaged header says.
        most = min(path.stat().st_size, MOST_HEADER_BYTES)
        header = file.read(length) if 0 < length < most else b""
    try:
        values = parse_object(header, "its header")
        facts = fitted(values.pop("__metadata__", {}), dict[str, str], "__metadata__")
        entries = fitted(values, dict[str, _Entry], "its header")
    except ValueError as error:
        raise ValueError(f"{path} is damaged: it has no safetensors header ({error})") from error
    end = max((entry.data_offsets[1] for entry in entries.values()), default=0)
    if path.stat().st_size != 8 + length + end:
        raise ValueError(f"{path} is damaged: its size does not fit its header")
    named = ((name, list(entry.shape)) for name, entry in entries.items())
    return {name: shape for name, shape in named if not name.endswith(".row_scale")}, facts


def _licence(folder: Path) -> str:
    """Read `license:` from the front matter of the folder's model card (README.md)."""
    card = folder / "README.md"
    if card.is_file():
        lines = lines_of(read_text(card))
        for line in lines[1:] if lines[:1] == ["---"] else []:
            if line.startswith("---"):
                break
            if line.startswith("license:"):
                return line.removeprefix("license:").strip().strip("\"'")
    return "not stated"
