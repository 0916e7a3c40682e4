"""Put trained parts together into a model folder: half precision or eight bits, model card, attribution, logs.

    python training/package_model.py configs/package_tiny.yaml [name=value ...]

Output folder: model_index.json, autoencoder/, transformer/, text_encoder/, tokenizer/, README.md (the
model card), ATTRIBUTION.md (author, licence and address of every training clip). Each part's configuration
and loss curve go to the folder of records, which is no part of the wheel.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from woosh.autoencoder import load_autoencoder
from woosh.catalogue import SHARED, find_model, part_folders
from woosh.data.manifests import read_manifest
from woosh.generation.changes import load_transformer
from woosh.generation.loading import load_part
from woosh.generation.pipeline import WooshPipeline
from woosh.generation.text_encoder import WooshTextEncoder, load_tokenizer
from woosh.outside_files import read_object
from woosh.training.command import run_recipe
from woosh.training.packaging import attribution, copy_records, half, model_card, write_model
from woosh.weight_files import load_saved, save_compact

EIGHT_BIT_PARTS = ("autoencoder", "transformer")


@dataclass(frozen=True)
class Config:
    """Settings of one packaging; see `configs/package_tiny.yaml`."""

    output: str
    records: str  # folder for the configuration, log and evaluation of each run
    manifest: str  # of the training data, for the attribution
    split: str
    autoencoder: str  # run folder of each recipe
    autoencoder_stages: tuple[str, ...]  # the runs that it went on from, first to last
    latents: str
    text_encoder: str
    parts_of: (
        str | None
    )  # the built-in model that has this text encoder and tokenizer; null writes them
    transformer: str
    transformer_stages: tuple[str, ...]  # the runs that it went on from
    default_steps: int
    default_guidance_scale: float
    guidance_start: float
    time_shift: float  # of the sampler's steps, see `woosh.generation.solvers.shifted_times`
    latent_doubt: float  # of a mel autoencoder, see `WooshMelAutoencoder.draw`
    eight_bits: bool  # keep the matrices of the autoencoder and the transformer so, see `woosh.compact_weights`
    licence: str  # of the weights, SPDX
    size_limit: int  # bytes of all weights and the tokenizer


def card_of(config: Config, parameters: dict[str, int]) -> str:
    """The model card."""
    counts = ", ".join(f"{name} {count:,}" for name, count in parameters.items())
    about = (
        "Text to sound effects, 48 kHz mono, 0.3 to 10 seconds, on an ordinary processor. Parameters: "
        f"{counts}."
    )
    trained_on = "ATTRIBUTION.md names the authors of the recordings that they were trained on"
    licence, records = config.licence, config.records
    return model_card(config.output, licence, records, about, trained_on, "each part was")


def share_text(name: str, text_encoder: WooshTextEncoder, folder: Path) -> None:
    """Leave the text encoder and the tokenizer of a model to a built-in one that has the same.

    Raises:
        ValueError: its text encoder has other weights.
    """
    theirs = load_part("text_encoder", part_folders(find_model(name))["text_encoder"])
    own, others = text_encoder.state_dict(), theirs.half().state_dict()
    if own.keys() != others.keys() or any(not own[key].equal(others[key]) for key in own):
        raise ValueError(f"{name} has another text encoder: parts_of must be null")
    for part in ("text_encoder", "tokenizer"):
        shutil.rmtree(folder / part)
    path = folder / "model_index.json"
    index = read_object(path)
    path.write_text(json.dumps(index | {SHARED: name}, indent=2) + "\n", encoding="utf-8")


def main(config: Config) -> None:
    """Write the folder anew."""
    text_run = Path(config.text_encoder)
    rows = read_manifest(config.manifest, config.split)
    autoencoder = load_autoencoder(Path(config.autoencoder) / "autoencoder")
    transformer = load_transformer(Path(config.transformer) / "transformer")
    text_encoder = load_saved(WooshTextEncoder, text_run / "text_encoder")
    parts = {"autoencoder": autoencoder, "transformer": transformer, "text_encoder": text_encoder}
    parameters = {
        name: sum(value.numel() for value in part.parameters()) for name, part in parts.items()
    }
    pipeline = WooshPipeline(
        autoencoder=half(autoencoder),
        transformer=half(transformer),
        text_encoder=half(text_encoder),
        tokenizer=load_tokenizer(text_run / "tokenizer"),
        default_steps=config.default_steps,
        default_guidance_scale=config.default_guidance_scale,
        guidance_start=config.guidance_start,
        time_shift=config.time_shift,
        latent_doubt=config.latent_doubt,
    )

    def write(folder: Path) -> None:
        pipeline.save_pretrained(folder)
        if config.eight_bits:
            for name in EIGHT_BIT_PARTS:
                shutil.rmtree(folder / name)
                save_compact(parts[name], folder / name)
        if config.parts_of is not None:
            share_text(config.parts_of, text_encoder, folder)
        (folder / "README.md").write_text(card_of(config, parameters), encoding="utf-8")
        (folder / "ATTRIBUTION.md").write_text(attribution(rows), encoding="utf-8")

    _, size = write_model(config.output, config.size_limit, write)
    stages = {
        "autoencoder": config.autoencoder_stages,
        "transformer": config.transformer_stages,
    }
    runs = {
        **{
            f"{part}_stage_{number}": run
            for part, earlier in stages.items()
            for number, run in enumerate(earlier, start=1)
        },
        "autoencoder": config.autoencoder,
        "latents": config.latents,
        "text_encoder": config.text_encoder,
        "transformer": config.transformer,
    }
    for name, run in runs.items():
        copy_records(Path(run), name, Path(config.records))
    print(f"{config.output}: {size:,} bytes; {parameters}")


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
