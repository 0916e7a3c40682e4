"""Low-rank training: what learns, what stays, and that the saved network is a plain one that does the same."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.toys import TEXT_WIDTH, make_transformer, randomise
from woosh.generation.lora import LAYERS
from woosh.generation.transformer import WooshTransformer
from woosh.training.flow.distillation import student_of
from woosh.training.flow.low_rank import learn_low_rank, save_whole
from woosh.training.flow.steps import OptimizerConfig, flow_optimizers

STUDENT = ("flow_map_embedding.", "final.")  # as training/distill_flow.py names them
SEEING = ("video_in.", ".video.", "final.", "log_variance")  # as training/train_video_flow.py does


def student() -> WooshTransformer:
    return student_of(randomise(make_transformer(), 1))  # type: ignore[arg-type]


def seeing() -> WooshTransformer:
    return randomise(make_transformer(video_channels=4), 1)  # type: ignore[return-value]


def output(model: WooshTransformer) -> Tensor:
    """Velocity at two times, with the log-variances of the loss added where these learn."""
    generator = torch.Generator().manual_seed(0)
    text, mask = torch.randn(2, 12, TEXT_WIDTH, generator=generator), torch.ones(2, 12)
    latents, time = torch.randn(2, 8, 20, generator=generator), torch.tensor([0.9, 0.6])
    if model.config.flow_map:
        return model(latents, time, model.prepare(text, mask), time / 3, torch.tensor([2.0, 5.0]))
    video = torch.randn(2, 5, 4, generator=generator)
    velocity = model(latents, time, model.prepare(text, mask, video))
    return velocity + model.log_variance(time)[:, None, None]


def names(model: WooshTransformer, part: str) -> set[str]:
    """Of the parameters that learn or that have a gradient."""
    return {
        name.replace(".base_layer", "")
        for name, value in model.named_parameters()
        if (value.requires_grad if part == "learning" else value.grad is not None)
    }


@pytest.mark.parametrize("make", [student, seeing])
def test_only_low_rank_changes_and_what_is_named_learn(
    make: Callable[[], WooshTransformer],
) -> None:
    model, whole = make(), STUDENT if make is student else SEEING
    before = names(model, "learning")
    learn_low_rank(model, 2, whole)
    named = {name for name in before if any(part in name for part in whole)}
    learning = names(model, "learning")
    low_rank = {name for name in learning if ".lora_" in name}
    assert learning == low_rank | named
    assert all(any(part in name for name in named) for part in whole)
    layers = {name.split(".lora_")[0] for name in low_rank}
    assert all(name.startswith(("joint.", "fused.")) for name in layers)
    assert {name.rpartition(".")[2] for name in layers} == set(LAYERS)
    output(model).square().sum().backward()
    assert names(model, "gradient") == learning


def test_a_part_that_did_not_learn_does_not_begin_to() -> None:
    """A student keeps its teacher's time embedding and log-variances for its files alone."""
    model = student()
    learn_low_rank(model, 2, ("flow_map_", "log_variance", "time_embedding."))
    learning = {name for name in names(model, "learning") if ".lora_" not in name}
    assert learning == {
        f"flow_map_embedding.perceptron.{layer}.{kind}"
        for layer in ("expand", "contract")
        for kind in ("weight", "bias")
    }


def test_rank_zero_lets_all_learn() -> None:
    model, untouched = student(), student()
    learn_low_rank(model, 0, STUDENT)
    assert list(model.state_dict()) == list(untouched.state_dict())
    assert names(model, "learning") == names(untouched, "learning")


def test_a_negative_rank_is_refused() -> None:
    model = student()
    with pytest.raises(ValueError, match="rank is -1; it must be positive, or 0"):
        learn_low_rank(model, -1, STUDENT)
    assert list(model.state_dict()) == list(student().state_dict())


def test_fresh_changes_do_nothing() -> None:
    model, untouched = student(), student()
    untouched.load_state_dict(model.state_dict())
    learn_low_rank(model, 2, STUDENT)
    assert torch.equal(output(model), output(untouched))


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_the_saved_network_is_plain_and_does_the_same(optimizer: str, tmp_path: Path) -> None:
    model, untouched = student(), student()
    untouched.load_state_dict(model.state_dict())
    learn_low_rank(model, 2, STUDENT)
    for step in flow_optimizers(model, OptimizerConfig(optimizer, 0.01, 0, 0.0)):
        for _ in range(2):
            model.zero_grad()
            (output(model) - 1).square().sum().backward()
            step.step()
    save_whole(model, tmp_path)
    saved = WooshTransformer.from_pretrained(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(output(saved), output(model), rtol=1e-4, atol=1e-5)
    before, after = untouched.state_dict(), saved.state_dict()
    assert after.keys() == before.keys()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    matrices = {name for name in moved if name.startswith(("joint.", "fused."))}
    assert all(name.endswith(tuple(f"{layer}.weight" for layer in LAYERS)) for name in matrices)
    assert matrices and all(name.startswith(STUDENT) for name in moved - matrices)
    for name in matrices:
        values = torch.linalg.svdvals(after[name] - before[name])
        assert values[2] < 1e-3 * values[0], name


def test_a_network_that_learned_whole_is_saved_as_it_is(tmp_path: Path) -> None:
    model = student()
    save_whole(model, tmp_path)
    saved = WooshTransformer.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())
