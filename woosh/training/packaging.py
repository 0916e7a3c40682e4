"""What stands beside weights in a model folder: whose recordings they heard, what kinds, and how they were made."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from woosh.catalogue import SHARED, describe_model, find_model
from woosh.data.manifests import Row, check_captions, read_objects, split_of
from woosh.generation.changes import (
    changes_between,
    load_transformer,
    save_changes,
    tensors_under,
)
from woosh.outside_files import read_object
from woosh.training.exports import write_whole
from woosh.weight_files import save_compact

Model = TypeVar("Model", bound=nn.Module)
Result = TypeVar("Result")
# Parts of the names of matrices that the recipes let learn as they are, whatever the rank of the others' changes.
WHOLE = ("final.", "log_variance")
TOLERANCE = 0.05  # share of a change, in its norm, that its low-rank form may leave out


def attribution(rows: Sequence[Row]) -> str:
    """Markdown with author, licence and address of every clip, grouped by where it was collected."""
    sources: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        sources[row.source].append(row)
    lines = [
        "# Attribution",
        "",
        f"The weights in this folder were trained on {len(rows)} recordings by the authors below, and on "
        "sounds rendered by `woosh.procedural`. Where no version of a licence is given, the address "
        "names it. No recording is contained in this folder.",
    ]
    for source, members in sorted(sources.items()):
        lines += [
            "",
            f"## {source} ({len(members)} clips, https://github.com/{source})",
            "",
            "| file | author | licence | address |",
            "|---|---|---|---|",
        ]
        for row in sorted(members, key=lambda row: row.file):
            cells = (row.file, row.author, row.licence, row.url or f"https://github.com/{source}")
            lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def vocabulary(manifest: Path, split: str) -> dict[str, str]:
    """The kinds of sounds of a split's clips (their `catid`), each in the words that most of its clips begin with.

    Captions are what an aligner is trained on: the kinds' own names, "animals dog", are known far less well.
    """
    captions: dict[str, Counter[str]] = defaultdict(Counter)
    for place, row in read_objects(manifest):
        if split_of(row) == split and row.get("catid"):
            captions[row["catid"]][check_captions(row.get("captions"), place)[0]] += 1
    return {kind: _most_common(counts) for kind, counts in captions.items()}


def _most_common(counts: Counter[str]) -> str:
    """The text that occurs most often, the shortest of several."""
    return min(counts, key=lambda text: (-counts[text], len(text), text))


@dataclass(frozen=True)
class SharingConfig:
    """Of a model folder that has a transformer of its own and all other parts of a built-in model."""

    output: str
    records: str  # folder for the configurations and logs of the runs
    transformer: str  # run folder of its recipe
    parts_of: str  # the built-in model that the transformer was made from
    default_steps: int
    default_guidance_scale: float
    size_limit: int  # bytes of the folder
    rank: int  # keep the transformer as changes of this rank of the built-in model's; 0 keeps it whole, in eight bits
    changes_of: tuple[
        str, ...
    ]  # built-in models whose changes are put upon that transformer before these

    @property
    def licence(self) -> str:
        """That of the built-in model, SPDX."""
        return describe_model(find_model(self.parts_of)).licence

    @property
    def attributed(self) -> str:
        """The built-in model whose folder names the recordings: that one, or the first that it shares parts with."""
        name: str | None = self.parts_of
        while name is not None:
            folder = find_model(name)
            if (folder / "ATTRIBUTION.md").is_file():
                return name
            name = describe_model(folder).parts_of
        raise ValueError(
            f"neither {self.parts_of} nor a model whose parts it has holds an ATTRIBUTION.md"
        )


def write_sharing(config: SharingConfig, sampling: Mapping[str, Any], folder: Path) -> int:
    """Write the transformer and the index of a folder.

    Args:
        config: of the folder.
        sampling: further arguments of the pipeline that differ from the built-in model's.
        folder: where to write; there is nothing yet.

    Returns:
        The transformer's parameters.

    Raises:
        ValueError: changes of that rank do not make the transformer.
    """
    index = read_object(find_model(config.parts_of) / "model_index.json")
    network = load_transformer(Path(config.transformer) / "transformer", torch.float32)
    parameters = sum(value.numel() for value in network.parameters())
    changes: dict[str, torch.Tensor] = {}
    if config.rank:
        bases = (config.parts_of, *config.changes_of)
        before = tensors_under(bases, config.transformer)
        changes, left = changes_between(before, network, config.rank, WHOLE)
        if left > TOLERANCE:
            raise ValueError(
                f"changes of rank {config.rank} leave out {left:.1%} of what {config.transformer} changed in the "
                f"transformer of {config.parts_of}: train it with that rank, from that transformer, or choose rank 0"
            )
        save_changes(network, changes, bases, folder / "transformer")
    else:
        save_compact(network, folder / "transformer")
    index |= {
        SHARED: config.parts_of,
        "default_steps": config.default_steps,
        "default_guidance_scale": config.default_guidance_scale,
        **sampling,
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return parameters


def model_card(
    output: str, licence: str, records: str, about: str, trained_on: str, made: str = "they were"
) -> str:
    """The card of a model that makes sounds: front matter that tools read, and what its folder is.

    Args:
        output: the model's folder, whose name is its title.
        licence: of the weights, SPDX.
        records: folder of the runs' configurations and logs.
        about: what the model is, a paragraph.
        trained_on: whose recordings made it, the end of a sentence.
        made: "they were" for all weights together, "each part was" where they are of several runs.
    """
    return (
        f"---\nlicense: {licence}\npipeline_tag: text-to-audio\nlibrary_name: diffusers\n---\n\n"
        f"# {Path(output).name}\n\n"
        f"{about}\n\n"
        f"The weights are released under {licence.upper()}; {trained_on}. How {made} made, with seeds and loss curves, "
        f"stands in the project's {records}; the figures that this model reaches stand in its README with the commands "
        "that give them.\n"
    )


def copy_records(run: Path, name: str, target: Path) -> None:
    """Copy a run's configuration, loss curve and evaluation where it has them."""
    target.mkdir(parents=True, exist_ok=True)
    for file in ("config.yaml", "log.jsonl", "evaluation.json"):
        if (run / file).is_file():
            shutil.copyfile(run / file, target / f"{name}_{file}")


def write_model(output: str, limit: int, write: Callable[[Path], Result]) -> tuple[Result, int]:
    """Write a model folder anew; what is there goes once the new one is complete.

    Args:
        output: the folder.
        limit: bytes that its files may have.
        write: fills the folder that it is given.

    Returns:
        What `write` returns, and the bytes of all files.

    Raises:
        ValueError: they are more than the limit.
    """

    def write_within_limit(folder: Path) -> tuple[Result, int]:
        folder.mkdir()
        result = write(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if size > limit:
            raise ValueError(f"{output} would hold {size:,} bytes, more than {limit:,}")
        return result, size

    return write_whole(Path(output), write_within_limit)


def half(model: Model) -> Model:
    """A model's weights in half precision, the form in which built-in models are shipped.

    Raises:
        ValueError: a weight that half precision cannot hold.
    """
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value.half()).all():
            raise ValueError(f"{name} holds values beyond half precision")
    return model.half()
