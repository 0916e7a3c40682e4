"""A distilled transformer becomes a model folder that shares its teacher's parts."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.paths import ROOT
from tests.toys import make_transformer, randomise
from training import package_student
from woosh.catalogue import BUILT_IN, describe_model, part_folders
from woosh.generation.loading import load_sampler
from woosh.generation.pipeline import WooshPipeline
from woosh.generation.request import Request
from woosh.generation.transformer import WooshTransformer
from woosh.training.config import load_config, replace_fields

CONFIGS = ROOT / "configs"


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained student of woosh-tiny's size, packaged."""
    folder = tmp_path_factory.mktemp("student")
    teacher = WooshTransformer.load_config(BUILT_IN / "woosh-tiny" / "transformer")
    sizes = {name: value for name, value in teacher.items() if not name.startswith("_")}
    student = randomise(WooshTransformer(**{**sizes, "flow_map": True}), 0)
    student.save_pretrained(folder / "run" / "transformer")
    (folder / "run" / "log.jsonl").write_text("{}\n")
    config = replace_fields(
        load_config(package_student.Config, CONFIGS / "package_tiny_fast.yaml"),
        output=str(folder / "model"),
        records=str(folder / "records"),
        transformer=str(folder / "run"),
    )
    package_student.main(config)
    assert (folder / "records" / "transformer_log.jsonl").is_file()
    with pytest.raises(ValueError, match="more than 10"):
        package_student.main(replace_fields(config, output=str(folder / "big"), size_limit=10))
    return folder / "model"


def test_it_holds_the_transformer_alone_and_plays(packaged: Path) -> None:
    assert sorted(p.name for p in packaged.iterdir()) == [
        "README.md",
        "model_index.json",
        "transformer",
    ]
    info = describe_model(packaged)
    assert info.few_step and info.parts_of == "woosh-tiny" and info.licence == "cc-by-4.0"
    assert info.size < 10_000_000 < describe_model(BUILT_IN / "woosh-tiny").size
    sampler = load_sampler(packaged)
    pipeline = WooshPipeline.from_pretrained(packaged, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    first = sampler(Request("rain", seconds=0.3, seed=0))
    second = pipeline("rain", seconds=0.3, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(first[0].numpy(), second.audios[0])
    assert sampler.settings.guidance_range == [1.0, 8.0] and sampler.settings.renoise_scale == 0.0


def test_a_pipeline_with_shared_parts_is_saved_whole(packaged: Path, tmp_path: Path) -> None:
    pipeline = WooshPipeline.from_pretrained(packaged, dtype=torch.float32)
    pipeline.save_pretrained(tmp_path / "whole")
    assert describe_model(tmp_path / "whole").parts_of is None
    again = WooshPipeline.from_pretrained(tmp_path / "whole", dtype=torch.float32)
    for part in ("autoencoder", "transformer", "text_encoder"):
        states = [getattr(one, part).state_dict() for one in (pipeline, again)]
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    for one in (pipeline, again):
        one.set_progress_bar_config(disable=True)
        # Mapped weights lie where they lie in the file, and where decides how some processors sum products.
        one.register_modules(transformer=copy.deepcopy(one.transformer))
        one.register_modules(autoencoder=copy.deepcopy(one.autoencoder))
    sounds = [
        one("rain", seconds=0.2, generator=torch.Generator().manual_seed(0)).audios
        for one in (pipeline, again)
    ]
    assert np.array_equal(*sounds)


@pytest.mark.parametrize("name", ["../woosh-tiny", "/etc", "nothing", ""])
def test_parts_come_from_built_in_models_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_parts_of": name}))
    with pytest.raises(ValueError, match="no built-in model"):
        part_folders(tmp_path)


def test_a_part_that_is_nowhere(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    make_transformer().save_pretrained(tmp_path / "transformer")
    with pytest.raises(FileNotFoundError, match="it has no folder autoencoder"):
        part_folders(tmp_path)
