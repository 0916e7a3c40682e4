"""Put a video flow and the network that sees for it into a model folder that shares all other parts with a built-in model.

    python training/package_video.py configs/package_small_video.yaml [name=value ...]

Output folder: model_index.json, transformer/, visual/, README.md (the model card). The runs' configurations, loss curves
and evaluation go to the folder of records, which is no part of the wheel.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from woosh.catalogue import VISUAL
from woosh.training.command import run_recipe
from woosh.training.packaging import (
    SharingConfig,
    copy_records,
    half,
    model_card,
    write_model,
    write_sharing,
)
from woosh.video.visual import VisualEncoder
from woosh.weight_files import load_saved


@dataclass(frozen=True)
class Config:
    """Settings of one packaging; see `configs/package_small_video.yaml`."""

    model: SharingConfig  # its transformer from a run of training/train_video_flow.py
    visual: str  # run folder of training/train_visual.py
    videos: str  # folder of training/encode_video.py
    guidance_start: float


def card_of(config: SharingConfig, parameters: int, visual: int) -> str:
    """The model card."""
    about = (
        f"{config.parts_of} with eyes: a transformer of {parameters:,} parameters that went on from that model's, and a "
        f"network of {visual:,} parameters that watches. All other parts are {config.parts_of}'s. With a video it makes "
        "the sound of what is seen, with words or without; with words alone it makes what they say."
    )
    trained_on = (
        "they were trained on scenes rendered by `woosh.scenes` and on the recordings that "
        f"{config.attributed}'s ATTRIBUTION.md names"
    )
    return model_card(config.output, config.licence, config.records, about, trained_on)


def main(config: Config) -> None:
    """Write the folder anew."""
    model = config.model
    watcher = load_saved(VisualEncoder, Path(config.visual) / "visual", torch.float32)
    visual = sum(value.numel() for value in watcher.parameters())

    def write(folder: Path) -> int:
        parameters = write_sharing(model, {"guidance_start": config.guidance_start}, folder)
        half(watcher).save_pretrained(folder / VISUAL)
        (folder / "README.md").write_text(card_of(model, parameters, visual), encoding="utf-8")
        return parameters

    parameters, size = write_model(model.output, model.size_limit, write)
    runs = {"transformer": model.transformer, "visual": config.visual, "videos": config.videos}
    for name, run in runs.items():
        copy_records(Path(run), name, Path(model.records))
    print(f"{model.output}: {size:,} bytes; {parameters:,} and {visual:,} parameters")


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
