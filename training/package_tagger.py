"""Put a trained tagger into a model folder: half precision, labels, model card, attribution, logs.

    python training/package_tagger.py configs/package_tiny_tagger.yaml [name=value ...]

Output folder: model_index.json, network/, labels.txt, README.md (the model card), ATTRIBUTION.md. Configuration, loss
curve and evaluation go to the folder of records.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from woosh.data.manifests import read_manifest
from woosh.outside_files import read_yaml
from woosh.taggers import AudioTagger, load_tagger, save_tagger
from woosh.training.command import run_recipe
from woosh.training.packaging import attribution, copy_records, half, write_model
from woosh.training.taggers.teaching import read_summary


@dataclass(frozen=True)
class Config:
    """Settings of one packaging; see `configs/package_tiny_tagger.yaml`."""

    output: str
    records: str  # folder for the configuration, log and evaluation of the runs
    manifest: str  # of the recordings that it learned from, for attribution
    split: str
    runs: tuple[str, ...]  # of imitate_tagger.py and train_tagger.py, in their order
    taught: str  # the shards of teach.py that it learned from
    licence: str  # of the weights, SPDX
    teacher_licence: str  # SPDX
    size_limit: int  # bytes


def model_card(config: Config, parameters: int, labels: int) -> str:
    """Front matter that tools read, what the folder is, and who taught it."""
    teachers = ", ".join(
        f"{teacher.name} ({config.teacher_licence}, sha256 {teacher.weights[:16]})"
        for teacher in read_summary(Path(config.taught)).teachers
    )
    start = read_yaml(Path(config.runs[0]) / "config.yaml").get("initial") or "random weights"
    return (
        f"---\nlicense: {config.licence}\npipeline_tag: audio-classification\n---\n\n"
        f"# {Path(config.output).name}\n\n"
        f"Names what is heard by {labels} labels: {parameters:,} parameters. It started from {start} and "
        f"learned from what {teachers} hears; the teacher's weights are not in it.\n\n"
        f"The weights are released under {config.licence.upper()}; ATTRIBUTION.md names the authors of the "
        "recordings that they were trained on. How they were made, with seeds and loss curves, stands in the "
        f"project's {config.records}; the figures that the tagger reaches stand in docs/taggers.md with the "
        "commands that give them.\n"
    )


def main(config: Config) -> None:
    """Write the folder anew."""
    if not config.runs:
        raise ValueError("runs is empty: name the folders of the runs that made the tagger")
    names = [Path(run).name for run in config.runs]
    if len(set(names)) < len(names):
        raise ValueError(f"runs are named {names}: their records would overwrite each other")
    rows = read_manifest(Path(config.manifest), config.split)
    tagger = load_tagger(Path(config.runs[-1]) / "tagger")
    parameters = sum(value.numel() for value in tagger.network.parameters())
    packaged = AudioTagger(half(tagger.network), tagger.labels, tagger.front_end)
    card = model_card(config, parameters, len(tagger.labels))

    def write(folder: Path) -> None:
        save_tagger(packaged, folder)
        (folder / "README.md").write_text(card, encoding="utf-8")
        (folder / "ATTRIBUTION.md").write_text(attribution(rows), encoding="utf-8")

    _, size = write_model(config.output, config.size_limit, write)
    for run in map(Path, config.runs):
        copy_records(run, run.name, Path(config.records))
    print(
        f"{config.output}: {size:,} bytes, {parameters:,} parameters, {len(tagger.labels)} labels"
    )


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
