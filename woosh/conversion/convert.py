"""Released checkpoints -> our modules: recognise, rename, check and fold signs, once and strictly.

A released folder holds `config.yaml` and `weights.safetensors` (or `weights.pt`). `from_released`
makes a module of such a configuration and its tensors; `convert` makes a folder that
`WooshPipeline.from_pretrained` reads.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from woosh.conversion.aligner_layouts import clap_layouts, is_clap
from woosh.conversion.layouts import (
    AUTOENCODER_PART,
    TEXT_PART,
    Config,
    Layout,
    Tensors,
    autoencoder_layout,
    option,
    split_parts,
    text_layout,
    transformer_layout,
    unpack_generator,
)
from woosh.embeddings.clap import write_index
from woosh.generation.text_encoder import TOKENIZER_NAME, check_vocabulary, load_tokenizer
from woosh.outside_files import read_yaml
from woosh.parts import ModelMixin
from woosh.weight_files import UNBUILDABLE, read_tensors
from woosh.whole_files import failures_named

# The kinds of released configurations: how each is recognised, and what describes its file.
KINDS: tuple[tuple[Callable[[Config], bool], Callable[[Config, Tensors], Layout]], ...] = (
    (
        lambda config: str(config.get("_target_", "")).endswith(".VocosAutoEncoder"),
        autoencoder_layout,
    ),
    (lambda config: "sentence_config" in config, text_layout),
    (lambda config: "dit" in config, transformer_layout),  # text to audio
    (lambda config: config.get("model_type") == "VideoKontextLDM", transformer_layout),
    (lambda config: "ldm" in config and "model_type" not in config, transformer_layout),  # few-step
)


def from_released(config: Config, tensors: Tensors) -> ModelMixin:
    """Build our module from a released configuration and its tensors.

    The module takes over the given tensors without copying them, except the last linear layer of a
    generator: released networks emit data - noise, ours noise - data, so its sign is changed there.

    Args:
        config: the parsed `config.yaml`; its shape tells the kind of module, see `KINDS`.
        tensors: the released tensors by name. The autoencoder and the text conditioner that a
            generator's file may hold as well are checked and left out.

    Returns:
        `WooshAutoencoder`, `WooshTextEncoder` or `WooshTransformer`, in evaluation mode.

    Raises:
        ValueError: an unknown kind or option, or a missing, left-over or misshapen tensor, by name.
    """
    for recognise, describe in KINDS:
        if recognise(config):
            own, nested = split_parts(tensors) if describe is transformer_layout else (tensors, {})
            for part, part_tensors in nested.items():
                check(part.layout(part_tensors), part_tensors, part.prefix)
            return load(describe(config, own), own)
    raise ValueError(
        "the configuration is of no released kind that is supported (autoencoder, text conditioner, "
        f"generator): its keys are {sorted(map(str, config))}"
    )


def check(layout: Layout, tensors: Tensors, prefix: str = "") -> None:
    """Compare a file's tensors with what its layout expects.

    Raises:
        ValueError: what is missing, left over, misshapen or changed, by released name.
    """
    shapes = {layout.names[name]: tuple(t.shape) for name, t in layout.module.state_dict().items()}
    shapes |= layout.unused
    optional = {name: tuple(table.shape) for name, table in layout.computed.items()}
    problems = [f"{prefix}{name} is missing" for name in shapes if name not in tensors]
    for name, tensor in tensors.items():
        shape = shapes.get(name, optional.get(name))
        if shape is None:
            problems.append(f"{prefix}{name} is left over")
        elif shape != tuple(tensor.shape):
            problems.append(f"{prefix}{name} has shape {tuple(tensor.shape)}, expected {shape}")
        elif not tensor.is_floating_point():
            problems.append(f"{prefix}{name} holds {tensor.dtype}, expected floating numbers")
        elif name in optional and not torch.allclose(
            tensor.float().cpu(), layout.computed[name], atol=1e-5
        ):
            problems.append(f"{prefix}{name} is not the table that the released networks share")
    if problems:
        more = f" and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ValueError(
            f"the tensors do not fit the configuration: {'; '.join(problems[:10])}{more}"
        )


def load(layout: Layout, tensors: Tensors) -> ModelMixin:
    """Check, rename and assign: the module on real tensors, holding no second copy of them."""
    check(layout, tensors)
    state = {ours: tensors[released] for ours, released in layout.names.items()}
    state |= {ours: -state[ours] for ours in layout.negated}
    layout.module.load_state_dict(state, strict=True, assign=True)
    return layout.module.eval()


def clap_from_released(config: Config, tensors: Tensors) -> dict[str, ModelMixin]:
    """The aligner's parts "audio_encoder", "head" and "text_encoder", as `from_released` makes them.

    Args:
        config: the parsed `config.yaml`.
        tensors: of both released files.

    Raises:
        ValueError: an unknown option, or a missing, left-over or misshapen tensor, by name.
    """
    layouts = clap_layouts(config, tensors)
    own = {
        name: set(layout.names.values()) | set(layout.unused) for name, layout in layouts.items()
    }
    left_over = set(tensors).difference(*own.values())
    if left_over:
        raise ValueError(f"the tensors do not fit an aligner: {min(left_over)} is left over")
    return {
        name: load(layout, {n: t for n, t in tensors.items() if n in own[name]})
        for name, layout in layouts.items()
    }


def convert(
    released_dir: str | Path, out_dir: str | Path, tokenizer: str | Path | None = None
) -> None:
    """Turn a released folder into a folder that `from_pretrained` reads.

    A generator becomes a pipeline folder. Its autoencoder and text conditioner are those in its own
    file, or else the folders that its configuration refers to as `checkpoints/NAME`: looked for as
    NAME and as checkpoints/NAME beside the released folder, one level up, and inside it. An
    autoencoder or a text conditioner becomes the folder of that module alone, an aligner (with
    `weights_text` and `weights_audio`) a folder that `load_clap` reads.

    Either the whole of `out_dir` is written or nothing. The weights are mapped, not read: memory
    holds them at most once.

    Args:
        released_dir: folder with `config.yaml` and `weights.safetensors` or `weights.pt`.
        out_dir: folder to write; new, or empty.
        tokenizer: folder or hub name of the text conditioner's tokenizer; None takes
            "roberta-large" from the Hugging Face hub. Only generators and aligners need it.

    Raises:
        FileNotFoundError: a file, a part or the tokenizer is missing.
        FileExistsError: `out_dir` holds something.
        ValueError: the checkpoint is not what its configuration says, see `from_released`.
    """
    released_dir, out_dir = Path(released_dir), Path(out_dir)
    config = read_config(released_dir)
    with staged(out_dir) as folder:
        try:
            write_converted(released_dir, config, folder, tokenizer or TOKENIZER_NAME)
        except (ValueError, *UNBUILDABLE) as error:
            raise ValueError(f"{released_dir} cannot be converted: {error}") from error


def write_converted(
    released_dir: Path, config: Config, folder: Path, tokenizer: str | Path
) -> None:
    """Write what a released folder holds, whatever its kind."""
    if is_clap(config):
        write_clap(released_dir, config, folder, tokenizer)
    elif not any(describe is transformer_layout for seen, describe in KINDS if seen(config)):
        from_released(config, read_weights(released_dir)).save_pretrained(folder)
    else:
        write_pipeline(released_dir, config, folder, tokenizer)


def write_pipeline(released_dir: Path, config: Config, folder: Path, tokenizer: str | Path) -> None:
    """Write a generator and its parts, one after the other, as a pipeline folder."""
    text_tokenizer = load_tokenizer(tokenizer)
    tensors = read_weights(released_dir)
    references = unpack_generator(config).latent_diffusion
    sizes = {"transformer": save(from_released(config, tensors), folder / "transformer")}
    _, nested = split_parts(tensors)
    del tensors
    for name, part, reference in (
        ("autoencoder", AUTOENCODER_PART, references.get("autoencoder", {})),
        ("text_encoder", TEXT_PART, references.get("conditioners", {}).get("text", {})),
    ):
        own = nested.pop(part, None)
        if own is not None:
            module = load(part.layout(own), own)
        else:
            place = find_part(released_dir, str(option(reference, "path")))
            module = from_released(read_config(place), read_weights(place))
        sizes[name] = save(module, folder / name)
        del own, module
    check_parts(sizes, len(text_tokenizer))
    text_tokenizer.save_pretrained(folder / "tokenizer")
    index = {
        "_class_name": "WooshPipeline",
        "autoencoder": ["woosh", "WooshAutoencoder"],
        "text_encoder": ["woosh", "WooshTextEncoder"],
        "tokenizer": ["transformers", type(text_tokenizer).__name__],
        "transformer": ["woosh", "WooshTransformer"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def write_clap(released_dir: Path, config: Config, folder: Path, tokenizer: str | Path) -> None:
    """Write an aligner's parts and its tokenizer as a folder that `load_clap` reads."""
    text_tokenizer = load_tokenizer(tokenizer)
    tensors = {
        **read_weights(released_dir, "weights_audio"),
        **read_weights(released_dir, "weights_text"),
    }
    parts = clap_from_released(config, tensors)
    check_vocabulary(len(text_tokenizer), parts["text_encoder"].config["vocabulary_size"])
    for name, module in parts.items():
        module.save_pretrained(folder / name)
    text_tokenizer.save_pretrained(folder / "tokenizer")
    write_index(folder, type(parts["audio_encoder"]).__name__)


def save(module: ModelMixin, folder: Path) -> Config:
    """Save a module and return its configuration."""
    module.save_pretrained(folder)
    return module.config


def check_parts(sizes: Mapping[str, Config], vocabulary: int) -> None:
    """Refuse parts that do not belong together."""
    for size, part, part_size in (
        ("latent_channels", "autoencoder", "latent_channels"),
        ("text_width", "text_encoder", "width"),
        ("text_tokens", "text_encoder", "max_tokens"),
    ):
        ours, its = sizes["transformer"][size], sizes[part][part_size]
        if ours != its:
            raise ValueError(f"{size} of the generator is {ours}, but its {part} has {its}")
    check_vocabulary(vocabulary, sizes["text_encoder"]["vocabulary_size"])


def read_config(folder: Path) -> Config:
    """The parsed `config.yaml` of a released folder."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"no config.yaml in {folder}; is it a released checkpoint folder?")
    return read_yaml(path)


def read_weights(folder: Path, stem: str = "weights") -> dict[str, Tensor]:
    """The weights of a released folder, mapped from the file of that stem.

    Raises:
        FileNotFoundError: neither the `.safetensors` nor the `.pt` file is there.
        ValueError: a file that is damaged, or a `.pt` that holds more than tensors.
    """
    path, pickled = folder / f"{stem}.safetensors", folder / f"{stem}.pt"
    if path.is_file():
        return read_tensors(path)
    if not pickled.is_file():
        raise FileNotFoundError(f"no {path.name} (or {pickled.name}) in {folder}")
    return read_tensors(pickled)


def find_part(released_dir: Path, reference: str) -> Path:
    """Folder of a part that a configuration refers to as `checkpoints/NAME`."""
    name = Path(reference).name
    bases = (released_dir.resolve().parent, released_dir.resolve().parent.parent, released_dir)
    places = [base / place for base in bases for place in (name, f"checkpoints/{name}")]
    for place in places:
        if (place / "config.yaml").is_file():
            return place
    raise FileNotFoundError(f"{reference} is in none of {', '.join(map(str, places))}")


@contextmanager
def staged(out_dir: Path) -> Iterator[Path]:
    """A folder beside `out_dir` that becomes it at the end, or disappears on an error."""
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise FileExistsError(
            f"{out_dir} exists and is not an empty folder; name another or remove it"
        )
    out_dir.resolve().parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}.", dir=out_dir.resolve().parent))
    try:
        with failures_named(out_dir):
            yield folder
        folder.chmod(0o755)  # mkdtemp makes it readable by its owner alone
        folder.replace(out_dir)
    finally:
        if folder.exists():
            shutil.rmtree(folder)
