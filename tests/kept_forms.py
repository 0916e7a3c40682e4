"""Toy models whose transformers are kept whole, in eight bits, as changes of another's, and as changes of changes."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.toys import make_pipeline, make_transformer, randomise
from woosh import catalogue
from woosh.catalogue import SHARED
from woosh.generation.changes import changed, changes_between, save_changes
from woosh.generation.lora import LAYERS
from woosh.generation.transformer import WooshTransformer
from woosh.training.flow.distillation import student_of
from woosh.weight_files import save_compact

FORMS = ("whole", "eight", "changed", "further")
RANK = 2
WIDE = 96  # channels of a token, so many that most matrices are kept in eight bits


def change_by_rank(network: nn.Module, rank: int, seed: int) -> None:
    """Add a random matrix of a rank to each matrix that low-rank training changes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.startswith(("joint.", "fused.")) and name.endswith(
                tuple(f"{layer}.weight" for layer in LAYERS)
            ):
                first = torch.randn(rank, value.shape[1], generator=generator)
                second = torch.randn(value.shape[0], rank, generator=generator)
                value.add_(second @ first, alpha=0.03)


def make_student(teacher: WooshTransformer, rank: int, seed: int) -> WooshTransformer:
    """A few-step student whose blocks differ from its teacher's by a rank; its embedding is new."""
    student = student_of(teacher).eval()
    randomise(student.flow_map_embedding, seed)  # type: ignore[arg-type]
    change_by_rank(student, rank, seed)
    return student


def share_parts(folder: Path, base: Path) -> None:
    """Let a folder that has a transformer take its other parts from the built-in model beside it."""
    index = json.loads((base / "model_index.json").read_text())
    index |= {SHARED: base.name, "default_steps": 2}
    (folder / "model_index.json").write_text(json.dumps(index))


def save_forms(models: Path) -> dict[str, WooshTransformer]:
    """Write a model folder for each form and return the transformers that they hold, float32.

    They are built-in models of one another: `woosh.catalogue.BUILT_IN` must be the folder when they are loaded.
    """
    pipeline = make_pipeline()
    whole = randomise(make_transformer(width=WIDE), 2)
    pipeline.register_modules(transformer=whole)
    for form in ("whole", "eight"):
        pipeline.save_pretrained(models / form)
    for part in ("transformer", "autoencoder"):
        shutil.rmtree(models / "eight" / part)
        save_compact(getattr(pipeline, part), models / "eight" / part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "BUILT_IN", models)
        networks = {"whole": whole, "eight": whole, "changed": make_student(whole, RANK, 5)}  # type: ignore[arg-type]
        changes, _ = changes_between(whole.state_dict(), networks["changed"], RANK)  # type: ignore[arg-type]
        save_changes(networks["changed"], changes, ("whole",), models / "changed" / "transformer")
        share_parts(models / "changed", models / "whole")

        kept = copy.deepcopy(networks["changed"])
        kept.load_state_dict(changed(whole.state_dict(), changes, ""))
        networks["further"] = copy.deepcopy(kept)
        change_by_rank(networks["further"], RANK, 6)
        changes, _ = changes_between(kept.state_dict(), networks["further"], RANK)
        save_changes(networks["further"], changes, ("changed",), models / "further" / "transformer")
        share_parts(models / "further", models / "changed")
    return networks  # type: ignore[return-value]
