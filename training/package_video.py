"""Put a video flow and the network that sees for it into a model folder that shares all other parts with a built-in model.

    python training/package_video.py configs/package_tiny_video.yaml [name=value ...]

Output folder: model_index.json, transformer/, visual/, README.md (the model card). The runs' configurations, loss curves
and evaluation go to the folder of records, which is no part of the wheel.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from woosh.catalogue import VISUAL, describe_model, find_model
from woosh.training.command import run_recipe
from woosh.training.packaging import copy_records, half, size_of, write_sharing
from woosh.video.visual import VisualEncoder
from woosh.weight_files import load_saved


@dataclass(frozen=True)
class Config:
    """Settings of one packaging; see `configs/package_tiny_video.yaml`."""

    output: str
    records: str  # folder for the configurations and logs of the runs
    transformer: str  # run folder of training/train_video_flow.py
    visual: str  # run folder of training/train_visual.py
    videos: str  # folder of training/encode_video.py
    parts_of: str  # the built-in model that the transformer went on from
    default_steps: int
    default_guidance_scale: float
    guidance_start: float
    size_limit: int  # bytes of the folder


def model_card(config: Config, parameters: int, visual: int, licence: str) -> str:
    """Front matter that tools read, and what the folder is."""
    return (
        f"---\nlicense: {licence}\npipeline_tag: text-to-audio\nlibrary_name: diffusers\n---\n\n"
        f"# {Path(config.output).name}\n\n"
        f"{config.parts_of} with eyes: a transformer of {parameters:,} parameters that went on from that model's, and a "
        f"network of {visual:,} parameters that watches. All other parts are {config.parts_of}'s. With a video it makes "
        "the sound of what is seen, with words or without; with words alone it makes what they say.\n\n"
        f"The weights are released under {licence.upper()}; they were trained on scenes rendered by `woosh.scenes` and "
        f"on the recordings that {config.parts_of}'s ATTRIBUTION.md names. How they were made, with seeds and loss "
        f"curves, stands in the project's {config.records}; the figures that this model reaches stand in its README "
        "with the commands that give them.\n"
    )


def main(config: Config) -> None:
    """Write the folder anew."""
    licence = describe_model(find_model(config.parts_of)).licence
    output = Path(config.output)
    sampling = {
        "default_steps": config.default_steps,
        "default_guidance_scale": config.default_guidance_scale,
        "guidance_start": config.guidance_start,
    }
    transformer = Path(config.transformer) / "transformer"
    watcher = load_saved(VisualEncoder, Path(config.visual) / "visual", torch.float32)
    parameters = write_sharing(output, transformer, config.parts_of, sampling)
    visual = sum(value.numel() for value in watcher.parameters())
    half(watcher).save_pretrained(output / VISUAL)
    card = model_card(config, parameters, visual, licence)
    (output / "README.md").write_text(card, encoding="utf-8")
    size = size_of(output, config.size_limit)
    for name in ("transformer", "visual", "videos"):
        copy_records(Path(getattr(config, name)), name, Path(config.records))
    print(f"{output}: {size:,} bytes; {parameters:,} and {visual:,} parameters")


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
