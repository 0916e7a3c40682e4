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
from woosh.training.packaging import (
    SharingConfig,
    copy_records,
    model_card,
    write_model,
    write_sharing,
)


@dataclass(frozen=True)
class Config:
    """Settings of one packaging; see `configs/package_tiny_fast.yaml`."""

    model: SharingConfig  # its transformer from a run of training/distill_flow.py
    stages: tuple[str, ...]  # the runs that it went on from, first to last
    guidance_range: tuple[float, ...]
    renoise_scale: float


def card_of(config: Config, parameters: int) -> str:
    """The model card."""
    model, (low, high) = config.model, config.guidance_range
    about = (
        f"{model.parts_of} in {model.default_steps} steps: a transformer of {parameters:,} parameters, distilled "
        f"from that model's, which holds all other parts. Guidance from {low:g} to {high:g} is an input; there is no "
        "negative prompt."
    )
    sees = describe_model(find_model(model.parts_of)).video_channels is not None
    scenes = "scenes rendered by `woosh.scenes` and on " if sees else ""
    recordings = f"the recordings that {model.attributed}'s ATTRIBUTION.md names"
    trained_on = f"they were trained on {scenes}{recordings}"
    return model_card(model.output, model.licence, model.records, about, trained_on)


def main(config: Config) -> None:
    """Write the folder anew."""
    model = config.model
    sampling = {
        "guidance_start": 1.0,
        "guidance_range": list(config.guidance_range),
        "renoise_scale": config.renoise_scale,
    }

    def write(folder: Path) -> int:
        parameters = write_sharing(model, sampling, folder)
        (folder / "README.md").write_text(card_of(config, parameters), encoding="utf-8")
        return parameters

    parameters, size = write_model(model.output, model.size_limit, write)
    for number, run in enumerate(config.stages, start=1):
        copy_records(Path(run), f"transformer_stage_{number}", Path(model.records))
    copy_records(Path(model.transformer), "transformer", Path(model.records))
    print(f"{model.output}: {size:,} bytes; {parameters:,} parameters")


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
