"""A solver is fitted to a toy model, kept in its model_index.json, and used by its name."""

import json
from pathlib import Path

import pytest
import torch

from tests.recipes.toy_recipes import CONFIGS
from tests.toys import save_pipeline
from training import train_solver
from woosh.catalogue import describe_model
from woosh.generation.loading import load_sampler
from woosh.generation.pipeline import WooshPipeline
from woosh.generation.request import Request
from woosh.training.config import load_config, replace_fields


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy with a solver of four steps."""
    place = tmp_path_factory.mktemp("solver")
    folder = save_pipeline(place / "toy")
    config = replace_fields(
        load_config(train_solver.Config, CONFIGS / "solver_small.yaml"),
        output=str(place / "run"),
        model=str(folder),
        steps=4,
        shifts=(1.0, 2.0),
        rounds=30,
        rate=2e-3,
        seconds=0.2,
        prompts=("a dog", "rain"),
        held_out=("sea waves",),
    )
    train_solver.main(config)
    index = json.loads((folder / "model_index.json").read_text())
    index["learned_steps"] = json.loads((place / "run" / "solver.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def test_the_fitted_solver_ends_nearer_than_multistep(model: Path) -> None:
    errors = json.loads((model.parent / "run" / "errors.json").read_text())
    assert errors["multistep"] == pytest.approx(errors["multistep, shift 1"], rel=1e-3)
    for shift in (1, 2):
        assert 0 < errors[f"learned, shift {shift}"] < errors[f"multistep, shift {shift}"]


def test_a_model_solves_by_the_steps_that_it_holds(model: Path) -> None:
    """As loaded by the commands and by the pipeline, which keeps them when it is saved again."""
    assert describe_model(model).learned_solver
    sampler = load_sampler(model)
    latents = sampler.latents(Request("a dog", seconds=0.2, seed=0, solver="learned"))
    assert not torch.equal(latents, sampler.latents(Request("a dog", seconds=0.2, seed=0, steps=4)))
    WooshPipeline.from_pretrained(model).save_pretrained(model.parent / "again")
    again = load_sampler(model.parent / "again")
    assert again.settings.learned_steps == sampler.settings.learned_steps


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 3}, "learned chooses its own steps"),
        ({"guidance_scale": 2.0}, "fitted at guidance 5.5: leave the guidance out"),
    ],
)
def test_what_the_learned_steps_do_not_fit_is_refused(
    model: Path, changes: dict[str, float], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        load_sampler(model).latents(
            Request("a dog", seconds=0.2, seed=0, solver="learned", **changes)  # type: ignore[arg-type]
        )


def test_models_without_learned_steps_refuse_them(tmp_path: Path) -> None:
    """And a file of damaged ones is refused by its name."""
    folder = save_pipeline(tmp_path / "toy")
    request = Request("a dog", seconds=0.2, seed=0, solver="learned")
    with pytest.raises(ValueError, match="no learned solver"):
        request.check(describe_model(folder))
    index = json.loads((folder / "model_index.json").read_text())
    steps = {"times": [1, 0], "noise": [1.0], "velocities": [[0.5, 1.0]], "guidance_scale": 5.5}
    (folder / "model_index.json").write_text(json.dumps(index | {"learned_steps": steps}))
    with pytest.raises(ValueError, match="model_index.json.*rows of 1 to 1"):
        load_sampler(folder)


def test_few_step_models_are_refused(tmp_path: Path) -> None:
    folder = save_pipeline(tmp_path / "few", flow_map=True)
    config = load_config(train_solver.Config, CONFIGS / "solver_tiny.yaml")
    with pytest.raises(ValueError, match="few-step"):
        train_solver.main(replace_fields(config, model=str(folder), output=str(tmp_path / "run")))
