"""Put a distilled transformer into a model folder that shares all other parts with its teacher's built-in model.

    python training/package_student.py configs/package_tiny_fast.yaml [name=value ...]

Output folder: model_index.json, transformer/, README.md (the model card). The run's configuration and loss curve go to
the folder of records, which is no part of the wheel.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from woosh.catalogue import describe_model, find_model
from woosh.training.command import run_recipe
from woosh.training.packaging import copy_records, size_of, write_sharing


@dataclass(frozen=True)
class Config:
    """Settings of one packaging; see `configs/package_tiny_fast.yaml`."""

    output: str
    records: str  # folder for the configurations and logs of the runs
    transformer: str  # run folder of training/distill_flow.py
    stages: tuple[str, ...]  # the runs that it went on from, first to last
    parts_of: str  # the built-in model that it was distilled from
    default_steps: int
    default_guidance_scale: float
    guidance_range: tuple[float, ...]
    renoise_scale: float
    size_limit: int  # bytes of the folder


def model_card(config: Config, parameters: int, licence: str) -> str:
    """Front matter that tools read, and what the folder is."""
    low, high = config.guidance_range
    return (
        f"---\nlicense: {licence}\npipeline_tag: text-to-audio\nlibrary_name: diffusers\n---\n\n"
        f"# {Path(config.output).name}\n\n"
        f"{config.parts_of} in {config.default_steps} steps: a transformer of {parameters:,} parameters, distilled "
        f"from that model's, which holds all other parts. Guidance from {low:g} to {high:g} is an input; there is no "
        "negative prompt.\n\n"
        f"The weights are released under {licence.upper()}; they were trained on the recordings that "
        f"{config.parts_of}'s ATTRIBUTION.md names. How they were made, with seeds and loss curves, stands in the "
        f"project's {config.records}; the figures that this model reaches stand in its README with the commands "
        "that give them.\n"
    )


def main(config: Config) -> None:
    """Write the folder anew."""
    licence = describe_model(find_model(config.parts_of)).licence
    output = Path(config.output)
    sampling = {
        "default_steps": config.default_steps,
        "default_guidance_scale": config.default_guidance_scale,
        "guidance_start": 1.0,
        "guidance_range": list(config.guidance_range),
        "renoise_scale": config.renoise_scale,
    }
    transformer = Path(config.transformer) / "transformer"
    parameters = write_sharing(output, transformer, config.parts_of, sampling)
    (output / "README.md").write_text(model_card(config, parameters, licence))
    size = size_of(output, config.size_limit)
    for number, run in enumerate(config.stages, start=1):
        copy_records(Path(run), f"transformer_stage_{number}", Path(config.records))
    copy_records(Path(config.transformer), "transformer", Path(config.records))
    print(f"{output}: {size:,} bytes; {parameters:,} parameters")


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
