"""A distilled transformer becomes a model folder that shares its teacher's parts."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.kept_forms import make_student
from tests.paths import ROOT
from tests.recipes.toy_recipes import weights
from tests.toys import make_transformer, randomise, save_pipeline
from training import package_student
from woosh import catalogue
from woosh.catalogue import BUILT_IN, CHANGES_FILE, describe_model, part_folders
from woosh.generation.loading import load_model, load_sampler
from woosh.generation.pipeline import WooshPipeline
from woosh.generation.request import Request
from woosh.generation.transformer import WooshTransformer
from woosh.training.config import load_config, replace_fields
from woosh.weight_files import load_saved

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
    assert sampler.settings.guidance_range == (1.0, 8.0) and sampler.settings.renoise_scale == 0.0


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
    with pytest.raises(ValueError, match="which is no other built-in model"):
        part_folders(tmp_path)


def test_a_part_that_is_nowhere(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    make_transformer().save_pretrained(tmp_path / "transformer")
    with pytest.raises(FileNotFoundError, match="it has no folder autoencoder"):
        part_folders(tmp_path)


@pytest.fixture
def low_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> package_student.Config:
    """A student whose blocks differ from a built-in toy's by rank 3, to be packaged as such."""
    monkeypatch.setattr(catalogue, "BUILT_IN", tmp_path / "models")
    toy = save_pipeline(tmp_path / "models" / "toy")
    (toy / "ATTRIBUTION.md").touch()
    teacher = load_saved(WooshTransformer, toy / "transformer", torch.float32)
    make_student(teacher, 3, 1).save_pretrained(tmp_path / "run" / "transformer")
    return replace_fields(
        load_config(package_student.Config, CONFIGS / "package_tiny_fast.yaml"),
        output=str(tmp_path / "models" / "toy-fast"),
        records=str(tmp_path / "records"),
        transformer=str(tmp_path / "run"),
        parts_of="toy",
        rank=3,
        changes_of=(),
    )


def test_a_student_of_a_rank_is_kept_as_changes_and_plays(
    low_rank: package_student.Config, tmp_path: Path
) -> None:
    package_student.main(low_rank)
    folder = Path(low_rank.model.output)
    assert sorted(p.name for p in (folder / "transformer").iterdir()) == [
        CHANGES_FILE,
        "config.json",
    ]
    student = WooshTransformer.from_pretrained(tmp_path / "run" / "transformer")
    sampler, request = load_sampler(folder), Request("rain", seconds=0.3, seed=0)
    made = sampler.latents(request)
    sampler.transformer.load_state_dict(student.state_dict())
    assert (made - sampler.latents(request)).norm() < 2e-3 * made.norm()
    info = describe_model(folder)
    assert info.few_step and info.parts_of == "toy" and info.licence == "cc-by-4.0"
    pipeline = WooshPipeline.from_pretrained("toy-fast", dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    sound = pipeline("rain", seconds=0.3, generator=torch.Generator().manual_seed(0)).audios
    assert np.array_equal(sound, load_sampler(folder)(request).numpy())
    card = (folder / "README.md").read_text()
    assert f"{sum(value.numel() for value in student.parameters()):,} parameters" in card
    request.check(info)
    assert np.array_equal(sound, load_model(info, "cpu", "auto")(request).numpy())


def test_a_student_of_a_student_is_changes_of_changes(
    low_rank: package_student.Config, tmp_path: Path
) -> None:
    """The toy's student in one rank more: its folder names the first student's, and leads to the toy from there."""
    package_student.main(low_rank)
    first = load_sampler(low_rank.model.output).transformer
    further = copy.deepcopy(first)
    with torch.no_grad():
        further.fused[0].out.weight.add_(torch.outer(torch.randn(32), torch.randn(96)), alpha=0.03)
    further.save_pretrained(tmp_path / "further" / "transformer")
    config = replace_fields(
        low_rank,
        transformer=str(tmp_path / "further"),
        output=str(tmp_path / "models" / "toy-faster"),
        parts_of="toy-fast",
        rank=1,
        changes_of=(),
    )
    package_student.main(config)
    loaded = load_sampler(config.model.output)
    for name, value in further.state_dict().items():
        torch.testing.assert_close(loaded.transformer.state_dict()[name], value, rtol=0, atol=1e-3)
    info = describe_model(Path(config.model.output))
    assert info.parts_of == "toy-fast"
    card = (info.folder / "README.md").read_text()
    assert "the recordings that toy's ATTRIBUTION.md names" in card  # toy-fast has none
    assert info.parameters == describe_model(Path(low_rank.model.output)).parameters
    assert loaded(Request("rain", seconds=0.1, seed=0)).isfinite().all()


def test_recordings_that_nobody_names_are_refused(
    low_rank: package_student.Config, tmp_path: Path
) -> None:
    (tmp_path / "models" / "toy" / "ATTRIBUTION.md").unlink()
    with pytest.raises(
        ValueError, match="neither toy nor a model whose parts it has holds an ATTR"
    ):
        package_student.main(low_rank)


def test_a_rank_that_leaves_something_out_is_refused(low_rank: package_student.Config) -> None:
    package_student.main(low_rank)
    folder = Path(low_rank.model.output)
    before = (folder / "transformer" / CHANGES_FILE).read_bytes()
    message = (
        r"changes of rank 2 leave out \d\d\.\d% of what .*run changed in the transformer of toy"
    )
    with pytest.raises(ValueError, match=message):
        package_student.main(replace_fields(low_rank, rank=2))
    assert (folder / "transformer" / CHANGES_FILE).read_bytes() == before
    package_student.main(replace_fields(low_rank, rank=0))
    assert not (folder / "transformer" / CHANGES_FILE).exists()
    assert all(value.dtype == torch.float16 for value in weights(folder / "transformer").values())


def test_a_student_of_another_model_is_refused(
    low_rank: package_student.Config, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "run")
    other = randomise(make_transformer(flow_map=True), 9)
    other.save_pretrained(tmp_path / "run" / "transformer")
    with pytest.raises(ValueError, match="train it with that rank, from that transformer"):
        package_student.main(low_rank)
    assert not Path(low_rank.model.output).exists()
