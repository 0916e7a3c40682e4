"""Contrastive losses between embeddings of sounds and texts, and gathering these over processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


def similarity(audio: Tensor, text: Tensor, temperature: Tensor | float) -> Tensor:
    """Cosines over temperature (N, M) of unit embeddings (N, D) and (M, D)."""
    return audio @ text.T / temperature


def same_group(groups: Tensor) -> Tensor:
    """Which pairs belong together: (N, N), true where two of the numbers (N,) are equal."""
    return groups[:, None] == groups[None]


def contrastive_loss(scores: Tensor, targets: Tensor) -> Tensor:
    """Symmetric InfoNCE (arXiv 1807.03748, equation 4) with any number of positives.

    The mean over rows of -sum_j q_ij log softmax_j(scores_i), averaged with the same over columns.
    With the identity as targets this is the usual loss of matching pairs.

    Args:
        scores: (N, N), sounds in rows, texts in columns.
        targets: (N, N), at least 0, something in every row and column: how much each pair belongs
            together. Rows and columns are scaled to sum to 1 here.

    Returns:
        The mean loss, a scalar: log N for equal scores.
    """
    losses = [
        -(part / part.sum(dim=1, keepdim=True) * logits.log_softmax(dim=1)).sum(dim=1).mean()
        for logits, part in ((scores, targets), (scores.T, targets.T))
    ]
    return (losses[0] + losses[1]) / 2


def distillation_loss(scores: Tensor, teacher_scores: Tensor) -> Tensor:
    """Cross-entropy against a teacher's estimated correspondences, both ways (arXiv 2408.11641, equation 5).

    The binary relation "these two belong together" is replaced by how well a trained aligner finds
    that they do: the softmax of the teacher's scores over each row, and over each column.

    Args:
        scores: (N, N), the student's.
        teacher_scores: (N, N), cosines over the temperature of the teacher.

    Returns:
        A scalar, least where both softmaxes agree.
    """
    losses = [
        -(teacher.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1).mean()
        for logits, teacher in ((scores, teacher_scores), (scores.T, teacher_scores.T))
    ]
    return (losses[0] + losses[1]) / 2


class Embedded(NamedTuple):
    """Unit embeddings (B, D) of a batch's sounds and texts, and the temperature, a scalar."""

    audio: Tensor
    text: Tensor
    temperature: Tensor


def cached_losses(
    embed: Callable[[Any], Embedded],
    chunks: Sequence[Any],
    loss_of: Callable[[Embedded], tuple[Tensor, dict[str, Tensor]]],
) -> tuple[list[Callable[[], Tensor]], dict[str, Tensor]]:
    """The loss of a batch that is too large to embed at once, in chunks whose gradients sum up to its gradient.

    GradCache (arXiv 2101.06983): all chunks are embedded without a graph, the loss of all embeddings gives the
    gradient of each, and each chunk is embedded again to pass its own on. Both times get the same random numbers.

    Args:
        embed: gives the embeddings of a chunk.
        chunks: of the batch, one after the other.
        loss_of: loss and scalars of all embeddings.

    Returns:
        For each chunk what gives a scalar whose gradients, averaged over the chunks as gradient accumulation does,
        are the loss's, and the scalars. One chunk alone is embedded once.
    """
    if len(chunks) == 1:
        loss, scalars = loss_of(embed(chunks[0]))
        return [lambda: loss], scalars
    states, parts = [], []
    with torch.no_grad():
        for chunk in chunks:
            states.append(_random_state())
            parts.append(embed(chunk))
    leaves = [torch.cat([part[place] for part in parts]).requires_grad_() for place in (0, 1)]
    leaves.append(parts[0][2].detach().clone().requires_grad_())
    loss, scalars = loss_of(Embedded(*leaves))
    gradients = torch.autograd.grad(loss, leaves)
    sizes = [len(part[0]) for part in parts]
    audio, text = (gradient.split(sizes) for gradient in gradients[:2])

    def again(place: int) -> Tensor:
        with torch.random.fork_rng():
            _set_random_state(states[place])
            embedded = embed(chunks[place])
        passed = (embedded.audio * audio[place]).sum() + (embedded.text * text[place]).sum()
        return len(chunks) * passed + embedded.temperature * gradients[2]

    return [partial(again, place) for place in range(len(chunks))], scalars


def _random_state() -> tuple[Tensor, list[Tensor]]:
    return (
        torch.get_rng_state(),
        torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    )


def _set_random_state(state: tuple[Tensor, list[Tensor]]) -> None:
    torch.set_rng_state(state[0])
    if state[1]:
        torch.cuda.set_rng_state_all(state[1])


class Temperature(nn.Module):
    """A temperature that is learned in its logarithm, or stays as it is.

    Args:
        initial: above 0.
        learned: whether it is trained.
    """

    def __init__(self, initial: float, learned: bool) -> None:
        super().__init__()
        if initial <= 0:
            raise ValueError(f"the temperature is {initial}; it must be above 0")
        self.logarithm = nn.Parameter(torch.tensor(initial).log(), requires_grad=learned)

    def forward(self) -> Tensor:
        """The temperature, at least 0.01: below it the scores overflow half precision's exponent range."""
        return self.logarithm.exp().clamp(min=0.01)


def gather_rows(rows: Tensor) -> Tensor:
    """Rows (N, D) or (N,) of every process, in the order of their ranks, with gradients for one's own.

    Each of P processes computes the loss of the whole batch, whose gradient reaches its own rows here;
    data parallelism then takes the mean of the processes' gradients. The gradient of a row is
    therefore multiplied by P: the mean is what one process with the whole batch has.
    """
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return rows
    processes = distributed.get_world_size()
    parts = [torch.empty_like(rows) for _ in range(processes)]
    distributed.all_gather(parts, rows.detach().contiguous())
    own = rows + (processes - 1) * (rows - rows.detach())  # the values of rows
    parts[distributed.get_rank()] = own
    return torch.cat(parts)
