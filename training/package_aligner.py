"""Put a trained aligner into a model folder: half precision, vocabulary, model card, attribution, logs.

    python training/package_aligner.py configs/package_tiny_clap.yaml [name=value ...]

Output folder: model_index.json, audio_encoder/, head/, labels.txt (what `woosh tag` chooses from: the
kinds of sounds of the training clips), README.md (the model card), ATTRIBUTION.md. The text encoder stays
in the model that it is shared with. Configuration, loss curve and evaluation go to the folder of records.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from woosh.catalogue import find_model
from woosh.data.manifests import read_manifest
from woosh.embeddings.clap import load_clap, save_clap
from woosh.generation.text_encoder import WooshTextEncoder
from woosh.training.command import run_recipe
from woosh.training.packaging import attribution, copy_records, half, vocabulary, write_model
from woosh.weight_files import load_saved


@dataclass(frozen=True)
class Config:
    """Settings of one packaging; see `configs/package_tiny_clap.yaml`."""

    output: str
    records: str  # folder for the configuration, log and evaluation of the runs
    manifest: str  # of the training data, for attribution and vocabulary
    split: str
    run: str  # of train_clap.py
    earlier_runs: tuple[str, ...]  # that it went on from or was taught by
    text_encoder_of: str  # model that holds the same text encoder
    start: str  # a sentence of the model card: what the audio tower started from, and under which licence
    licence: str  # of the weights, SPDX
    size_limit: int  # bytes


def check_text_encoder(trained: WooshTextEncoder, model: str) -> None:
    """Raise ValueError unless a model holds the very text encoder that the aligner was trained with."""
    shipped = load_saved(WooshTextEncoder, find_model(model) / "text_encoder").state_dict()
    for name, value in trained.state_dict().items():
        if not torch.equal(value.half(), shipped[name].half()):
            raise ValueError(f"the text encoder of {model} is another one: {name} differs")


def model_card(config: Config, parameters: int) -> str:
    """Front matter that tools read, and what the folder is."""
    return (
        f"---\nlicense: {config.licence}\npipeline_tag: zero-shot-audio-classification\n---\n\n"
        f"# {Path(config.output).name}\n\n"
        f"Sounds and texts in one space: {parameters:,} parameters of its own, and the text encoder of "
        f"{config.text_encoder_of}. {config.start}\n\n"
        f"The weights are released under {config.licence.upper()}; ATTRIBUTION.md names the authors of the "
        "recordings that they were trained on. How they were made, with seeds and loss curves, stands in the "
        f"project's {config.records}; the figures that the aligner reaches stand in {config.records}.md with "
        "the commands that give them.\n"
    )


def main(config: Config) -> None:
    """Write the folder anew."""
    manifest = Path(config.manifest)
    rows = read_manifest(manifest, config.split)
    words = sorted(set(vocabulary(manifest, config.split).values()))
    clap = load_clap(Path(config.run) / "clap")
    check_text_encoder(clap.text_encoder, config.text_encoder_of)
    own = (clap.audio_encoder, clap.head)
    parameters = sum(value.numel() for part in own for value in part.parameters())
    clap = dataclasses.replace(clap, audio_encoder=half(own[0]), head=half(own[1]))

    def write(folder: Path) -> None:
        save_clap(clap, folder, config.text_encoder_of)
        (folder / "labels.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(model_card(config, parameters), encoding="utf-8")
        (folder / "ATTRIBUTION.md").write_text(attribution(rows), encoding="utf-8")

    _, size = write_model(config.output, config.size_limit, write)
    copy_records(Path(config.run), "aligner", Path(config.records))
    for number, run in enumerate(config.earlier_runs, start=1):
        copy_records(Path(run), f"aligner_stage_{number}", Path(config.records))
    print(f"{config.output}: {size:,} bytes, {parameters:,} parameters, {len(words)} labels")


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
