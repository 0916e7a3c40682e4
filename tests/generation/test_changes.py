"""Transformers kept as changes of a built-in model's: exact to half precision, also in chains, and refused where unfit."""

import copy
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.kept_forms import RANK, change_by_rank, make_student, save_forms, share_parts
from tests.toys import TEXT_WIDTH, make_transformer, randomise
from woosh import catalogue
from woosh.catalogue import CHANGES_FILE, CHANGES_FORMAT
from woosh.generation.changes import (
    SUMS,
    changed,
    changes_between,
    folders_of,
    load_transformer,
    low_rank,
    read_changes,
    save_changes,
    sums_of,
    tensors_under,
)
from woosh.generation.lora import A, B
from woosh.generation.transformer import WooshTransformer
from woosh.training.flow.distillation import student_of
from woosh.training.flow.video import with_video

EIGHT_BITS = 5e-3  # of the velocity, which large matrices lose


@pytest.fixture(scope="module")
def saved(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, WooshTransformer]]:
    models = tmp_path_factory.mktemp("models")
    return models, save_forms(models)


@pytest.fixture
def models(saved: tuple[Path, dict], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of each form, built-in models here."""
    monkeypatch.setattr(catalogue, "BUILT_IN", saved[0])
    return saved[0]


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """A transformer kept as changes, to be spoilt."""
    target = tmp_path / "transformer"
    target.mkdir()
    for path in (models / "changed" / "transformer").iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def base() -> WooshTransformer:
    return randomise(make_transformer(), 1)  # type: ignore[return-value]


def velocity(model: WooshTransformer, video: bool = False) -> Tensor:
    """At two times; of a few-step network the mean one from there."""
    generator = torch.Generator().manual_seed(0)
    text, mask = torch.randn(2, 12, TEXT_WIDTH, generator=generator), torch.ones(2, 12)
    latents, time = torch.randn(2, 8, 20, generator=generator), torch.tensor([0.9, 0.6])
    features = torch.randn(2, 5, 5, generator=generator) if video else None
    further = (time / 3, torch.tensor([3.0, 6.0])) if model.config.flow_map else ()
    with torch.no_grad():
        return model(latents, time, model.prepare(text, mask, features), *further)


def assert_close(
    found: WooshTransformer, wanted: WooshTransformer, video: bool = False, error: float = 1e-3
) -> None:
    first, second = velocity(found, video), velocity(wanted, video)
    assert (first - second).norm() < error * second.norm()


def rebuilt(original: WooshTransformer, network: WooshTransformer, rank: int) -> dict[str, Tensor]:
    """A network's tensors as its changes keep them."""
    changes, left = changes_between(original.state_dict(), network, rank)
    assert left < 1e-3
    return changed(original.state_dict(), changes, "")


def test_a_low_rank_student_is_kept_to_half_precision() -> None:
    teacher = base()
    student = make_student(teacher, RANK, 3)
    with torch.no_grad():
        student.fused[0].out.bias.add_(0.1)
    before, after = teacher.state_dict(), student.state_dict()
    changes, left = changes_between(teacher.state_dict(), student, RANK)
    assert 0 < left < 1e-3
    assert all(value.dtype == torch.float16 for value in changes.values())
    matrices = {name.removesuffix(A) + ".weight" for name in changes if name.endswith(A)}
    assert "joint.0.audio.qkv.weight" in matrices and "fused.0.out.weight" in matrices
    whole = {name for name in changes if not name.endswith((A, B))}
    assert whole == {name for name in after if name not in before} | {"fused.0.out.bias"}
    kept = changed(before, changes, "")
    assert kept.keys() == after.keys()
    for name, value in after.items():
        if name in matrices:
            change = value - before[name]
            assert (kept[name] - value).norm() < 1e-3 * change.norm(), name
        elif name in whole:
            assert torch.equal(kept[name], value.half().float())
        else:
            assert torch.equal(kept[name], value) and torch.equal(value, before[name])


def test_a_new_video_stream_is_whole() -> None:
    blind = base()
    seeing = randomise(with_video(blind, 5), 4)
    seeing.load_state_dict(blind.state_dict(), strict=False)
    change_by_rank(seeing, RANK, 5)
    changes, _ = changes_between(blind.state_dict(), seeing, RANK)  # type: ignore[arg-type]
    new = {name for name in seeing.state_dict() if name not in blind.state_dict()}
    assert "video_in.weight" in new and "joint.0.video.qkv.weight" in new
    assert new == {name for name in changes if not name.endswith((A, B))}
    kept = copy.deepcopy(seeing)
    kept.load_state_dict(rebuilt(blind, seeing, RANK))  # type: ignore[arg-type]
    assert_close(kept, seeing, video=True)  # type: ignore[arg-type]


def test_what_the_rank_leaves_out_is_its_share_of_the_norm() -> None:
    """Of a change with singular values 4 and 3, one factor leaves 3 of 5."""
    original, network = base(), base()
    turn, _ = torch.linalg.qr(torch.randn(32, 32))
    change = 4 * torch.outer(turn[0], turn[1]) + 3 * torch.outer(turn[2], turn[3])
    with torch.no_grad():
        network.joint[0].audio.out.weight.add_(change)
    assert changes_between(original.state_dict(), network, 1)[1] == pytest.approx(0.6, abs=1e-3)
    assert changes_between(original.state_dict(), network, 2)[1] < 1e-3
    first, second = low_rank(change, 1)
    assert first.shape == (1, 32) and second.shape == (32, 1)
    assert float(first.norm()) == pytest.approx(2, rel=1e-3) == float(second.norm())


def test_small_and_equal_tensors_need_no_factors() -> None:
    original, network = base(), base()
    assert changes_between(original.state_dict(), network, RANK) == ({}, 0.0)
    with torch.no_grad():
        network.joint[0].audio.out.weight.add_(torch.randn(32, 32))
    changes, left = changes_between(
        original.state_dict(), network, 16
    )  # as many numbers as the matrix has
    assert list(changes) == ["joint.0.audio.out.weight"] and left == 0


def test_networks_that_changes_cannot_make_are_refused() -> None:
    original = base()
    with pytest.raises(ValueError, match=r"the network lacks \['joint.0.video"):
        changes_between(with_video(original, 5).state_dict(), original, RANK)
    for name, value in (("fused.0.out.bias", 1e6), ("fused.0.out.weight", 1e12)):
        network = base()
        with torch.no_grad():
            network.get_parameter(name).view(-1)[0] = value
        with pytest.raises(ValueError, match=r"fused.0.out\S* holds values beyond half precision"):
            changes_between(original.state_dict(), network, RANK)


@pytest.mark.parametrize("form", ["changed", "further"])
def test_what_is_loaded_is_the_network(
    form: str, models: Path, saved: tuple[Path, dict[str, WooshTransformer]]
) -> None:
    folder, network = models / form / "transformer", saved[1][form]
    loaded = load_transformer(folder, torch.float32)
    assert_close(loaded, network, error=EIGHT_BITS)
    assert not loaded.training and loaded.dtype == torch.float32
    assert loaded.state_dict().keys() == network.state_dict().keys()
    assert load_transformer(folder).dtype == torch.float32
    assert load_transformer(folder, torch.bfloat16).dtype == torch.bfloat16
    changes, bases = read_changes(folder / CHANGES_FILE)
    tensors = changed(tensors_under(bases.names, ""), changes, "")
    assert all(torch.equal(value, tensors[name]) for name, value in loaded.state_dict().items())


def test_a_chain_holds_at_each_link_what_that_link_changed(models: Path) -> None:
    """The second student's folder names the first one, and has nothing of the embedding that the first one made."""
    changes, bases = read_changes(models / "further" / "transformer" / CHANGES_FILE)
    assert bases.names == ("changed",) and all(name.endswith((A, B)) for name in changes)
    changes, bases = read_changes(models / "changed" / "transformer" / CHANGES_FILE)
    assert bases.names == ("whole",) and any(
        name.startswith("flow_map_embedding.") for name in changes
    )


def test_changes_of_other_weights_are_refused(models: Path, folder: Path, tmp_path: Path) -> None:
    """A later version may have trained the built-in model on: its old changes would make noise of the new weights."""
    shutil.copytree(models, tmp_path / "later")
    weights = tmp_path / "later" / "whole" / "transformer" / "diffusion_pytorch_model.safetensors"
    tensors = {name: 1.01 * value for name, value in load_file(weights).items()}
    save_file(tensors, weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "BUILT_IN", tmp_path / "later")
        with pytest.raises(ValueError, match="changes other weights of whole than are installed"):
            load_transformer(folder)
        with pytest.raises(ValueError, match="changes other weights of whole than are installed"):
            load_transformer(tmp_path / "later" / "further" / "transformer")


def test_changes_of_earlier_versions_hold_no_sums(folder: Path) -> None:
    path = folder / CHANGES_FILE
    save_file(load_file(path), path, {"format": CHANGES_FORMAT, "base": "whole"})
    assert load_transformer(folder).config.latent_channels
    save_file(load_file(path), path, {"format": CHANGES_FORMAT, "base": "whole", SUMS: "a b"})
    with pytest.raises(ValueError, match="does not have a sum for each model"):
        load_transformer(folder)


@pytest.mark.parametrize(
    "name", ["woosh-small-fast", "woosh-small-video", "woosh-small-video-fast"]
)
def test_built_in_changes_say_which_weights_they_change(name: str) -> None:
    _, bases = read_changes(catalogue.find_model(name) / "transformer" / CHANGES_FILE)
    assert bases.sums == sums_of(folders_of(bases.names, ""))


def test_changes_upon_those_of_two_models(models: Path, tmp_path: Path) -> None:
    """A network that sees, under the changes that made few steps of another: its own file holds what it learned since."""
    original = load_transformer(models / "whole" / "transformer")
    seeing = with_video(original, 5).eval()
    change_by_rank(seeing, RANK, 9)
    folder = tmp_path / "seeing" / "transformer"
    changes, _ = changes_between(original.state_dict(), seeing, RANK)
    save_changes(seeing, changes, ("whole",), folder)
    share_parts(folder.parent, models / "whole")
    bases = ("seeing", "changed")
    with pytest.MonkeyPatch.context() as patch:
        for form in ("whole", "changed"):
            (tmp_path / form).symlink_to(models / form)
        patch.setattr(catalogue, "BUILT_IN", tmp_path)
        both = student_of(seeing)
        both.load_state_dict(tensors_under(bases, ""))
        learned = copy.deepcopy(both).eval()
        change_by_rank(learned, RANK, 10)
        changes, _ = changes_between(both.state_dict(), learned, RANK)
        assert changes and all(name.endswith((A, B)) for name in changes)
        save_changes(learned, changes, bases, tmp_path / "learned")
        assert_close(load_transformer(tmp_path / "learned"), learned, True, EIGHT_BITS)
        save_changes(learned, changes, ("seeing", "whole"), tmp_path / "learned")
        with pytest.raises(FileNotFoundError, match="needs the changes of .*whole.* which holds"):
            load_transformer(tmp_path / "learned")
        with pytest.raises(
            FileNotFoundError, match="changes 'unknown', which is no built-in model"
        ):
            save_changes(learned, changes, ("seeing", "unknown"), tmp_path / "learned")


def test_changes_of_a_model_in_eight_bits(models: Path, tmp_path: Path) -> None:
    original = load_transformer(models / "eight" / "transformer", torch.float32)
    student = make_student(original, RANK, 7)
    changes, _ = changes_between(original.state_dict(), student, RANK)
    save_changes(student, changes, ("eight",), tmp_path)
    assert_close(load_transformer(tmp_path, torch.float32), student, error=EIGHT_BITS)


@pytest.mark.usefixtures("models")
def test_large_matrices_are_kept_in_eight_bits(tmp_path: Path) -> None:
    """Half of the file's bytes, and a fifth of a per cent of what was changed."""
    whole = randomise(make_transformer(width=256), 1)
    student = make_student(whole, 64, 8)
    changes, _ = changes_between(whole.state_dict(), student, 64)
    save_changes(student, changes, ("whole",), tmp_path)
    held = sum(value.numel() for value in changes.values())
    assert (tmp_path / CHANGES_FILE).stat().st_size < 1.2 * held
    read, _ = read_changes(tmp_path / CHANGES_FILE)
    assert read.keys() == changes.keys()
    for name, value in changes.items():
        error = (read[name] - value.float()).norm() / value.float().norm().clamp_min(1e-6)
        assert error < 0.01, name


def test_diffusers_alone_refuses_instead_of_reading_wrong_numbers(folder: Path) -> None:
    with pytest.raises(OSError, match="no file named diffusion_pytorch_model"):
        WooshTransformer.from_pretrained(folder, local_files_only=True)


def spoil(folder: Path, base: str | None = "whole", **tensors: Tensor | None) -> None:
    """Write a file of changes anew, with another base or other tensors; None takes one away."""
    path = folder / CHANGES_FILE
    with safe_open(path, "pt") as file:
        held = {name: file.get_tensor(name) for name in file.keys()} | tensors  # noqa: SIM118
    metadata = {"format": CHANGES_FORMAT} | ({} if base is None else {"base": base})
    save_file({name: value for name, value in held.items() if value is not None}, path, metadata)


@pytest.mark.parametrize("name", ["nothing", "../whole", ""])
def test_changes_are_of_built_in_models_alone(name: str, folder: Path) -> None:
    spoil(folder, base=name)
    with pytest.raises((FileNotFoundError, ValueError), match=re.escape(str(folder))):
        load_transformer(folder)


def test_a_folder_is_no_base(models: Path, folder: Path) -> None:
    """Else a file from elsewhere could name any place of the machine, or itself without end."""
    for place in (models / "whole", folder.parent):
        spoil(folder, base=str(place))
        with pytest.raises(FileNotFoundError, match="which is no built-in model"):
            load_transformer(folder)


def test_files_that_are_damaged_or_of_another_kind(folder: Path) -> None:
    spoil(folder, base=None)
    with pytest.raises(ValueError, match="does not say which model it changes"):
        load_transformer(folder)
    path = folder / CHANGES_FILE
    save_file({"x": torch.zeros(1)}, path, {"format": "woosh-lora", "base": "whole"})
    with pytest.raises(ValueError, match="does not say which model it changes"):
        load_transformer(folder)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=f"{path} is damaged"):
        load_transformer(folder)


LAYER = "fused.0.out"


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({LAYER + A: None}, f"the change of {LAYER} lacks a part"),
        ({LAYER + B: None}, f"the change of {LAYER} lacks a part"),
        (
            {"fused.7.out" + A: torch.zeros(2, 96), "fused.7.out" + B: torch.zeros(96, 2)},
            "the change of fused.7.out lacks a part",
        ),
        ({LAYER + A: torch.zeros(3, 96)}, f"changes {LAYER} by factors of shapes .96, 2. and .3, 96"),
        ({LAYER + A: torch.zeros(2, 5)}, rf"changes {LAYER} by factors .* here is \(96, 288\)"),
        ({LAYER + B: torch.zeros(5, 2)}, rf"changes {LAYER} by factors .* here is \(96, 288\)"),
        ({LAYER + B: torch.zeros(2)}, f"changes {LAYER} by factors"),
        ({LAYER + A: torch.zeros(())}, f"changes {LAYER} by factors"),
        ({"flow_map_embedding.perceptron.contract.bias": None}, "contract.bias is missing"),
        ({"new.weight": torch.zeros(2, 2)}, "new.weight is left over"),
        ({"memory_token": torch.zeros(1, 1, 5)}, "memory_token has shape"),
        ({LAYER + A + ".row_scale": torch.ones(2, 1)}, "are scales of no matrix in eight bits"),
        ({"new.row_scale": torch.ones(2, 1)}, "are scales of no matrix in eight bits"),
    ],
)  # fmt: skip
def test_changes_that_do_not_fit_are_refused(
    tensors: dict[str, Tensor | None], message: str, folder: Path
) -> None:
    spoil(folder, **tensors)
    with pytest.raises(ValueError, match=message) as caught:
        load_transformer(folder)
    assert str(folder / CHANGES_FILE) in str(caught.value)


def test_a_configuration_that_does_not_fit_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "inner_width": 64}))
    with pytest.raises(ValueError, match=rf"{CHANGES_FILE}: .*text_in.expand.weight has shape"):
        load_transformer(folder)
