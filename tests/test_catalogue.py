"""What model folders say of themselves: parameters in every form, and where parts are that several models share."""

import json
from pathlib import Path

import pytest

from tests.kept_forms import FORMS, save_forms, share_parts
from tests.toys import make_transformer, make_visual
from woosh import catalogue
from woosh.catalogue import (
    CHANGES_FILE,
    describe_model,
    find_model,
    is_built_in,
    part_folders,
)
from woosh.generation.pipeline import WooshPipeline
from woosh.weight_files import COMPACT_FILE


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    save_forms(models)
    return models


@pytest.fixture(autouse=True)
def models(saved: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(catalogue, "BUILT_IN", saved)
    return saved


@pytest.mark.parametrize("form", FORMS)
def test_parameters_are_those_of_the_loaded_networks(form: str, models: Path) -> None:
    pipeline = WooshPipeline.from_pretrained(models / form)
    parts = (pipeline.autoencoder, pipeline.transformer, pipeline.text_encoder)
    held = sum(value.numel() for part in parts for value in part.state_dict().values())
    assert describe_model(models / form).parameters == held


def test_a_form_is_as_large_as_its_own_files(models: Path) -> None:
    size = {form: describe_model(models / form).size for form in FORMS}
    assert size["further"] < size["changed"] < 0.2 * size["whole"]
    assert size["eight"] < 0.6 * size["whole"]
    assert (models / "eight" / "transformer" / COMPACT_FILE).is_file()


def test_parts_are_found_along_the_chain(models: Path) -> None:
    info = describe_model(models / "further")
    assert info.parts_of == "changed" and info.few_step
    assert part_folders(models / "further") == {
        "autoencoder": models / "whole" / "autoencoder",
        "transformer": models / "further" / "transformer",
        "text_encoder": models / "whole" / "text_encoder",
        "tokenizer": models / "whole" / "tokenizer",
    }


@pytest.fixture
def own(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Built-in models of a test's own, with the whole one among them."""
    (tmp_path / "whole").symlink_to(models / "whole")
    monkeypatch.setattr(catalogue, "BUILT_IN", tmp_path)
    return tmp_path


def test_eyes_are_found_along_the_chain_by_those_that_see(own: Path) -> None:
    make_visual().save_pretrained(own / "seeing" / "visual")
    make_transformer(video_channels=8).save_pretrained(own / "seeing" / "transformer")
    share_parts(own / "seeing", own / "whole")
    for name, channels in (("fast", 8), ("blind", None)):
        transformer = make_transformer(flow_map=True, video_channels=channels)
        transformer.save_pretrained(own / name / "transformer")
        share_parts(own / name, own / "seeing")
    assert describe_model(own / "seeing").visual == own / "seeing" / "visual"
    assert describe_model(own / "fast").visual == own / "seeing" / "visual"
    assert describe_model(own / "blind").visual is None
    eyes = sum(value.numel() for value in make_visual().state_dict().values())
    counts = [describe_model(own / name).parameters for name in ("fast", "blind")]
    stream = [
        sum(value.numel() for value in make_transformer(True, video_channels=seen).parameters())
        for seen in (8, None)
    ]
    assert counts[0] - counts[1] == eyes + stream[0] - stream[1]


def test_parts_that_two_models_have_of_each_other(own: Path) -> None:
    for name, other in (("first", "second"), ("second", "first")):
        (own / name).mkdir()
        (own / name / "model_index.json").write_text(json.dumps({"_parts_of": other}))
    with pytest.raises(ValueError, match="takes parts of 'first', which is no other built-in"):
        part_folders(own / "first")


def test_changes_of_nothing_built_in(own: Path, models: Path) -> None:
    folder = own / "lost"
    (folder / "transformer").mkdir(parents=True)
    share_parts(folder, own / "whole")
    for path in (models / "further" / "transformer").iterdir():
        (folder / "transformer" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match=f"{CHANGES_FILE} changes 'changed', which is no built-in"):
        describe_model(folder)


@pytest.mark.parametrize(
    ("form", "name"), [("eight", COMPACT_FILE), ("changed", CHANGES_FILE)], ids=["eight", "changed"]
)
def test_a_damaged_file_is_named(form: str, name: str, own: Path, models: Path) -> None:
    (own / form / "transformer").mkdir(parents=True)
    share_parts(own / form, own / "whole")
    for path in (models / form / "transformer").iterdir():
        (own / form / "transformer" / path.name).write_bytes(path.read_bytes())
    assert describe_model(own / form).parts_of == "whole"
    path = own / form / "transformer" / name
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole + b"0", whole[:20], b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{name} is damaged"):
            describe_model(own / form)


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000, "a\0b"])
def test_names_that_no_file_system_takes_are_unknown(name: str) -> None:
    """They may come from a file of others, such as the base that a LoRA names."""
    assert not is_built_in(name)
    with pytest.raises(FileNotFoundError, match="unknown model"):
        find_model(name)
