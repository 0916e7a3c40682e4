"""How far what a network hears can be trusted: attacks, stress of its predictions, influence of what it learned from.

After arXiv 2007.02650, which names accuracy under attack, prediction-change stress and influence without their settings:
levels, estimators and their radii are ours. Shapes: B sounds, S samples, C classes, N items to learn from, M others.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

Logits = Callable[[Tensor], Tensor]  # (B, S) -> (B, C), with gradients
PGD_STEPS = 10
PGD_PACE = 0.25  # of the radius, in a step
CONJUGATE_STEPS = 200  # at most


def radius_below(x: Tensor, decibels: float) -> Tensor:
    """The largest change of a sample (B, 1) whose level lies so many decibels below that of sounds (B, S).

    A change that is as large as this everywhere, up or down, is exactly so far below.
    """
    return x.pow(2).mean(dim=1, keepdim=True).sqrt() * 10 ** (-decibels / 20)


def fgsm(logits: Logits, x: Tensor, classes: Tensor, radius: Tensor) -> Tensor:
    """One step along the sign of the gradient of the cross entropy (Goodfellow et al., arXiv 1412.6572, equation 1).

        x' = x + r sign(d loss(x, c) / d x)

    Args:
        logits: what is attacked.
        x: sounds (B, S).
        classes: theirs (B,).
        radius: r (B, 1), see `radius_below`.
    """
    return x + radius * _direction(logits, x, classes)


def pgd(logits: Logits, x: Tensor, classes: Tensor, radius: Tensor) -> Tensor:
    """Ten steps of `fgsm` with a quarter of its radius, each brought back into the ball; the worst is kept (arXiv 1706.06083).

    It begins with the whole step of `fgsm`, so that its loss is never below that one's. Arguments as there.
    """
    attacked = worst = fgsm(logits, x, classes, radius)
    with torch.no_grad():
        highest = functional.cross_entropy(logits(worst), classes, reduction="none")
    for _ in range(PGD_STEPS):
        step = attacked + PGD_PACE * radius * _direction(logits, attacked, classes)
        attacked = torch.minimum(torch.maximum(step, x - radius), x + radius)
        with torch.no_grad():
            loss = functional.cross_entropy(logits(attacked), classes, reduction="none")
        worst = torch.where((loss > highest)[:, None], attacked, worst)
        highest = torch.maximum(loss, highest)
    return worst


def _direction(logits: Logits, x: Tensor, classes: Tensor) -> Tensor:
    """Sign of the gradient of the cross entropy at sounds (B, S)."""
    x = x.detach().requires_grad_()
    loss = functional.cross_entropy(logits(x), classes, reduction="sum")
    return torch.autograd.grad(loss, x)[0].sign()


def stress(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    radius: float,
    directions: int,
    generator: Generator,
) -> Tensor:
    """The Laplacian of a function at one point, from both sides along random directions at right angles.

        d / k  sum_k [f(x + r u_k) + f(x - r u_k) - 2 f(x)] / r^2

    Exactly twice the trace of A for x' A x if there are as many directions as dimensions, and 0 for what is linear.

    Args:
        function: (B, S) -> (B,).
        x: the point (S,).
        radius: r, how far it is looked.
        directions: k, at most S.
        generator: of the directions.

    Returns:
        A single value.
    """
    draw = torch.randn(len(x), directions, generator=generator, dtype=x.dtype)
    away = radius * torch.linalg.qr(draw).Q.T.to(x.device)  # (k, S)
    here = function(x[None]).double()
    sides = torch.stack(
        [function((x + sign * one)[None]).double()[0] for one in away for sign in (1, -1)]
    )
    return (sides - here).sum() * len(x) / (directions * radius**2)


def influences(
    features: Tensor, classes: Tensor, others: Tensor, other_classes: Tensor, decay: float = 0.01
) -> Tensor:
    """How much each item that a linear probe learns from lowers the loss of others (arXiv 1703.04730, equation 2).

    The probe is a logistic regression with decay, whose loss is strictly convex; H is its second derivative at the best
    weights w, and

        I(z, z') = dl(z)/dw  H^-1  dl(z')/dw / N

    is about what the loss of z' gains when the probe learns anew without z. Where products of gradients are added up over
    a training instead (arXiv 2002.08484) the order is less that of leaving items out: .73 in place of more than .8.

    Args:
        features: of the items (N, W).
        classes: theirs (N,), from 0 on.
        others: features (M, W) of what is asked about.
        other_classes: theirs (M,).
        decay: of the weights.

    Returns:
        (N, M); above 0 where learning from an item helps.
    """
    count = int(torch.cat([classes, other_classes]).max()) + 1
    x, others = (functional.pad(f.double(), (0, 1), value=1.0) for f in (features, others))
    weights = probe(x, classes, count, decay)
    known = (x @ weights).softmax(dim=1)  # (N, C)
    wrong = known - functional.one_hot(classes, count)
    other_wrong = (others @ weights).softmax(dim=1) - functional.one_hot(other_classes, count)

    def curvature(v: Tensor) -> Tensor:
        """H v for each of (M, W, C)."""
        moved = x @ v  # (M, N, C)
        bent = known * (moved - (known * moved).sum(dim=-1, keepdim=True))
        return x.T @ bent / len(x) + decay * v

    gradients = others[:, :, None] * other_wrong[:, None, :]  # (M, W, C)
    solved = conjugate_gradients(curvature, gradients)
    return torch.einsum("nw,mwc,nc->nm", x, solved, wrong) / len(x)


def probe(x: Tensor, classes: Tensor, count: int, decay: float) -> Tensor:
    """The weights (W, C) of a logistic regression of items (N, W), float64, with decay / 2 |w|^2 beside the mean loss."""
    weights = x.new_zeros(x.shape[1], count).requires_grad_()
    descent = torch.optim.LBFGS(
        [weights], max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        descent.zero_grad()
        value = functional.cross_entropy(x @ weights, classes) + decay / 2 * weights.pow(2).sum()
        value.backward()
        return value

    descent.step(loss)  # type: ignore[arg-type]
    return weights.detach()


def conjugate_gradients(matrix: Callable[[Tensor], Tensor], wanted: Tensor) -> Tensor:
    """Solve A v = b for each of several b (M, ...) with a positive definite A (Hestenes and Stiefel 1952)."""

    def product(first: Tensor, second: Tensor) -> Tensor:
        total = (first * second).flatten(1).sum(dim=1)
        return total.reshape(-1, *(1 for _ in first.shape[1:]))

    found, rest = torch.zeros_like(wanted), wanted
    direction, squared = rest, product(rest, rest)
    goal = 1e-12 * squared.amax()
    for _ in range(CONJUGATE_STEPS):
        if squared.amax() <= goal:
            break
        bent = matrix(direction)
        step = squared / product(direction, bent).clamp_min(1e-300)
        found, rest = found + step * direction, rest - step * bent
        before, squared = squared, product(rest, rest)
        direction = rest + squared / before.clamp_min(1e-300) * direction
    return found
