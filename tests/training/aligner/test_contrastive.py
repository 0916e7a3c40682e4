"""Contrastive losses: closed forms, and gathering that equals one process with the whole batch."""

import math
from pathlib import Path

import pytest
import torch
from torch import multiprocessing
from torch.nn import functional

from woosh.training.aligner.contrastive import (
    Embedded,
    Temperature,
    cached_losses,
    contrastive_loss,
    distillation_loss,
    gather_rows,
    same_group,
    similarity,
)


def unit(rows: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(rows, 6, generator=generator), dim=-1)


def test_equal_scores_cost_the_logarithm_of_the_batch_and_perfect_ones_nothing() -> None:
    assert contrastive_loss(torch.zeros(8, 8), torch.eye(8)).item() == pytest.approx(math.log(8))
    assert contrastive_loss(1e4 * torch.eye(8), torch.eye(8)).item() == pytest.approx(0)


def test_pairs_alone_give_the_usual_cross_entropy() -> None:
    scores = similarity(unit(5, 0), unit(5, 1), 0.1)
    target = torch.arange(5)
    expected = functional.cross_entropy(scores, target) + functional.cross_entropy(scores.T, target)
    assert torch.allclose(contrastive_loss(scores, torch.eye(5)), expected / 2)


def test_repeated_captions_are_no_negatives() -> None:
    groups = torch.tensor([3, 1, 3])
    assert same_group(groups).tolist() == [
        [True, False, True],
        [False, True, False],
        [True, False, True],
    ]
    scores = 1e4 * same_group(groups).float()
    loss = contrastive_loss(scores, same_group(groups).float())
    assert loss.item() == pytest.approx((2 * math.log(2) + 0) / 3)  # both share a row's mass


def test_distillation_is_least_where_student_and_teacher_agree() -> None:
    teacher = similarity(unit(5, 0), unit(5, 1), 0.1)
    scores = teacher.clone().requires_grad_()
    distillation_loss(scores, teacher).backward()
    assert scores.grad is not None and scores.grad.abs().max() < 1e-6
    assert distillation_loss(teacher + torch.randn(5, 5), teacher) > distillation_loss(
        teacher, teacher
    )


def test_temperature_is_learned_or_fixed() -> None:
    learned, fixed = Temperature(0.2, True), Temperature(0.2, False)
    assert learned().item() == pytest.approx(0.2) == fixed().item()
    assert learned().requires_grad and not fixed().requires_grad
    with pytest.raises(ValueError, match="must be above 0"):
        Temperature(0.0, True)


def loss_of(layer: torch.nn.Linear, audio: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    first, second = (functional.normalize(layer(part), dim=-1) for part in (audio, text))
    scores = similarity(gather_rows(first), gather_rows(second), 0.1)
    return contrastive_loss(scores, torch.eye(len(scores)))


def make_layer() -> torch.nn.Linear:
    layer = torch.nn.Linear(6, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 1, 24).reshape(4, 6).sin())
        layer.bias.zero_()
    return layer


def run_process(rank: int, folder: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    layer = torch.nn.parallel.DistributedDataParallel(make_layer())
    rows = slice(3 * rank, 3 * rank + 3)
    loss_of(layer, unit(6, 0)[rows], unit(6, 1)[rows]).backward()
    gradient = layer.module.weight.grad
    del layer  # the last holder of the group must not be let go with Python's lock held: its threads may wait for that
    torch.save(gradient, f"{folder}/gradient{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_gradient_of_one_with_the_whole_batch(tmp_path: Path) -> None:
    layer = make_layer()
    loss_of(layer, unit(6, 0), unit(6, 1)).backward()
    multiprocessing.spawn(run_process, (str(tmp_path),), nprocs=2)
    for rank in range(2):
        gradient = torch.load(tmp_path / f"gradient{rank}.pt", weights_only=True)
        assert torch.allclose(gradient, layer.weight.grad, atol=1e-6)


class TwoTowers(torch.nn.Module):
    """Linear towers with dropout, and a learned temperature."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.audio, self.text = torch.nn.Linear(6, 4), torch.nn.Linear(5, 4)
        self.drop = torch.nn.Dropout(0.3)
        self.temperature = Temperature(0.2, learned=True)

    def forward(self, pair: tuple[torch.Tensor, torch.Tensor]) -> Embedded:
        audio = torch.nn.functional.normalize(self.drop(self.audio(pair[0])), dim=-1)
        text = torch.nn.functional.normalize(self.text(pair[1]), dim=-1)
        return Embedded(audio, text, self.temperature())


def scored(embedded: Embedded) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    loss = contrastive_loss(similarity(*embedded), torch.eye(len(embedded.audio)))
    return loss, {"loss": loss.detach()}


@pytest.mark.parametrize("chunks", [1, 2, 4])
def test_chunks_have_the_gradients_of_the_large_batch(chunks: int) -> None:
    audio, text = torch.randn(8, 6), torch.randn(8, 5)
    whole, parts = TwoTowers().eval(), TwoTowers().eval()
    expected, _ = scored(whole((audio, text)))
    expected.backward()
    pairs = list(zip(audio.chunk(chunks), text.chunk(chunks), strict=True))
    losses, scalars = cached_losses(parts, pairs, scored)
    assert len(losses) == chunks and torch.allclose(scalars["loss"], expected)
    for loss in losses:
        (loss() / chunks).backward()  # as gradient accumulation does
    for first, second in zip(whole.parameters(), parts.parameters(), strict=True):
        assert first.grad is not None and second.grad is not None
        torch.testing.assert_close(first.grad, second.grad)


def test_chunks_see_the_same_dropout_twice_and_leave_the_random_state_alone() -> None:
    model, seen = TwoTowers().train(), []

    def embed(pair: tuple[torch.Tensor, torch.Tensor]) -> Embedded:
        embedded = model(pair)
        seen.append(embedded.audio.detach())
        return embedded

    chunks = [(torch.randn(3, 6), torch.randn(3, 5)) for _ in range(2)]
    losses, _ = cached_losses(embed, chunks, scored)
    state = torch.get_rng_state()
    for loss in losses:
        loss()
    assert torch.equal(seen[0], seen[2]) and torch.equal(seen[1], seen[3])
    assert not torch.equal(seen[0], seen[1]) and torch.equal(state, torch.get_rng_state())
