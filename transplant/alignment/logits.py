"""Fitting an output map to changes of logits, each position caring for its own likely tokens.

One matrix between two heads (`unembedding.fit_output_map`) weighs tokens by how common they are in
the domain. At any one position few of them matter. Here the error of a position is measured in the
probabilities of the tokens that are likely there: to second order that is the divergence between
the distribution that is wanted and the one that results (the Fisher metric of the logits).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.alignment.affine import AffineMap
from transplant.backbones.token_vectors import TokenVectors
from transplant.ranks import ALONE, Ranks

EXACT = 2048  # features of which all directions are solved for
LEADING, SWEEPS = 512, 3  # directions of wider ones, and how often these are refined


@dataclass(frozen=True)
class LikelyChange:
    """The wanted change of the logits of some rows, on the tokens that are likely there."""

    tokens: Tensor  # [rows, likely]
    weights: Tensor  # [rows, likely], sum to 1 in each row
    change: Tensor  # [rows, likely], centred by the weights
    slopes: Tensor = None  # pyright: ignore[reportAssignmentType]
    """By how much each logit moves with u_v c [rows, likely]: less than 1 behind a soft cap."""

    def __post_init__(self) -> None:
        """Takes slopes of 1 where none are given, which take no memory."""
        if self.slopes is None:
            ones = torch.ones((), dtype=self.change.dtype, device=self.change.device)
            object.__setattr__(self, "slopes", ones.expand_as(self.change))

    def at(self, rows: Tensor, device: torch.device, gain: float = 1.0) -> LikelyChange:
        """That of some rows on a device, times a gain."""
        tokens, weights, change, slopes = (part[rows].to(device) for part in vars(self).values())
        return LikelyChange(tokens, weights, gain * change, slopes)

    @classmethod
    def joined(cls, parts: Sequence[LikelyChange]) -> LikelyChange:
        """Those of all rows of the parts, in turn."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*map(torch.cat, columns))


def spread_change(change: Tensor, probabilities: Tensor, beginnings: Tensor) -> Tensor:
    """Carries a change of the donor's logits over to the vocabulary of the target.

    A token of the target gets the change of the donor's token that it begins with, which is itself
    where both have it. One that begins with none gets what is expected where the target stands:
    the mean over the others under the target's own probabilities.

    Args:
        change: the donor's change of logits [rows, vocab_donor].
        probabilities: the target's [rows, vocab_target].
        beginnings: the donor's token of each of the target's [vocab_target], -1 for none.

    Returns:
        [rows, vocab_target]
    """
    known = beginnings >= 0
    carried = change[:, beginnings.clamp_min(0)]
    likely = probabilities * known
    expected = (likely * carried).sum(1, keepdim=True) / likely.sum(1, keepdim=True)
    return torch.where(known, carried, expected)


def slopes_of(logits: Tensor, soft_cap: float | None) -> Tensor | None:
    """The derivative of c tanh(l / c) by l, from its value [rows, likely]; None without a cap."""
    return None if soft_cap is None else (1 - (logits / soft_cap).square()).clamp(0, 1)


def likely_change(
    logits: Tensor, change: Tensor, likely: int, soft_cap: float | None = None
) -> LikelyChange:
    """Keeps the tokens that are likely before or after the change.

    Args:
        logits: of the raw target [rows, vocab].
        change: the wanted one [rows, vocab].
        likely: tokens to keep in each row.
        soft_cap: of the target's head, which both are behind.
    """
    mean = logits.softmax(-1) + (logits + change).softmax(-1)
    weights, tokens = mean.topk(min(likely, mean.shape[1]), dim=-1, sorted=False)
    weights = weights / weights.sum(1, keepdim=True)
    kept = change.gather(1, tokens)
    kept = kept - (weights * kept).sum(1, keepdim=True)
    slopes = slopes_of(logits.gather(1, tokens), soft_cap)
    return LikelyChange(tokens, weights, kept, slopes)  # pyright: ignore[reportArgumentType]


def fit_to_changes(
    features: Iterable[Tensor],
    changes: Sequence[LikelyChange],
    head: Tensor,
    start: AffineMap,
    *,
    strength: float,
    iterations: int,
    intercept: bool = True,
    ranks: Ranks = ALONE,
) -> AffineMap:
    """The affine map from features to corrections whose changes of logits come closest.

    Minimises the mean over rows of sum_v p_v (s_v u_v (x W + b) - change_v - shift)^2, with s the
    slopes, plus a ridge around `start`, by preconditioned conjugate gradients: it is quadratic in
    (W, b), but the system has (d_features + 1) * d_model unknowns and is never written down. The
    shift of each row is free, since it changes no probability.

    Args:
        features: x, [rows, d_features] for each batch. Each is copied; of an iterator that lets go
            of what it has given, no two are held beside their copies.
        changes: the wanted change of the same rows.
        head: U of the target [vocab, d_model].
        start: the first guess.
        strength: of the ridge, relative to the mean curvature.
        iterations: of the solver; few are enough, and fewer pull less far from `start`.
        intercept: whether there is a b; else that of `start` must be 0, and stays.
        ranks: of several processes each has batches of its own; sums are exchanged.
    """
    batches = [
        (torch.cat([x, torch.full((len(x), 1), float(intercept))], dim=1), batch)
        for x, batch in zip(features, changes, strict=True)
    ]
    first = torch.cat([start.weight, start.bias[None]])  # [d_features + 1, d_model]

    rows = int(ranks.total(sum(len(x) for x, _ in batches))[0])
    ridge, precondition = _preconditioner(batches, len(first), rows, head, strength, ranks)
    # Behind the curvature, which takes as much: the vectors of most of a vocabulary.
    vectors = TokenVectors.of_batches(head, [batch.tokens for batch in changes])

    def curve(unknowns: Tensor, *, residual: bool = False) -> Tensor:
        total = torch.zeros_like(unknowns)
        for (x, batch), u in zip(batches, vectors, strict=True):
            reached = batch.slopes * u.products(x @ unknowns)
            left = batch.change - reached if residual else reached
            left = batch.weights * (left - (batch.weights * left).sum(1, keepdim=True))
            total += x.T @ u.sums(batch.slopes * left)
        ranks.sum(total)
        return total / rows

    step = torch.zeros_like(first)
    left = curve(first, residual=True)
    pulled = precondition(left)
    direction, size = pulled.clone(), (left * pulled).sum()
    for _ in range(iterations):
        bent = curve(direction) + ridge * direction
        along = size / (direction * bent).sum().clamp_min(torch.finfo(bent.dtype).tiny)
        step += along * direction
        left -= along * bent
        pulled = precondition(left)
        before, size = size, (left * pulled).sum()
        direction = pulled + size / before.clamp_min(torch.finfo(bent.dtype).tiny) * direction
    solved = first + step
    return AffineMap(solved[:-1], solved[-1])


def _preconditioner(
    batches: Sequence[tuple[Tensor, LikelyChange]],
    width: int,
    rows: int,
    head: Tensor,
    strength: float,
    ranks: Ranks,
) -> tuple[float, Callable[[Tensor], Tensor]]:
    """The ridge, and the inverse of (second moments of x) kron (mean curvature) + ridge.

    Of wide features only the leading directions are solved for; in all others the second moment is
    taken to be their mean, which is small beside the ridge.
    """
    mean = torch.zeros(len(head))
    for _, batch in batches:
        mean.index_add_(0, batch.tokens.flatten(), batch.weights.flatten() / rows)
    ranks.sum(mean)
    curvature = _mean_curvature(head, mean)
    leading = _leading([x for x, _ in batches], width, rows, ranks)
    ridge = strength * float(leading.mean * curvature.diagonal().mean())
    b, right = torch.linalg.eigh(curvature)
    scale = (leading.sizes[:, None] * b[None] + ridge).float()
    left, right = leading.directions.float(), right.float()
    others = (leading.rest * b + ridge).float()

    def apply(matrix: Tensor) -> Tensor:
        turned = matrix @ right
        inside = left.T @ turned
        solved = left @ (inside / scale)
        if leading.rest_directions:
            solved = solved + (turned - left @ inside) / others
        return solved @ right.T

    return ridge, apply


def _mean_curvature(head: Tensor, mean: Tensor) -> Tensor:
    """The covariance of U under the mean weights of tokens, in float64 [d_model, d_model]."""
    seen = mean.nonzero()[:, 0]  # of a large vocabulary few are likely anywhere
    centred, weights = head[seen].float(), mean[seen]
    centred -= weights @ centred
    return ((centred * weights[:, None]).T @ centred).double()


@dataclass(frozen=True)
class _Leading:
    """Leading directions of second moments, and the mean of what they leave."""

    mean: Tensor  # of the diagonal
    sizes: Tensor  # eigenvalues [kept]
    directions: Tensor  # [width, kept]
    rest: float = 0.0
    rest_directions: int = 0


def _leading(parts: Sequence[Tensor], width: int, rows: int, ranks: Ranks) -> _Leading:
    """Of x [rows, width] in batches: all directions of narrow ones, `LEADING` of wide ones.

    The latter by subspace iteration (Halko, Martinsson and Tropp, "Finding structure with
    randomness", 2011), without the [width, width] matrix.
    """
    if width <= EXACT:
        second = torch.zeros(width, width, dtype=torch.float64)
        for x in parts:
            second += (x.T @ x).double() / rows
        ranks.sum(second)
        return _Leading(second.diagonal().mean(), *torch.linalg.eigh(second))
    trace = torch.zeros((), dtype=torch.float64)
    for x in parts:
        trace += x.square().sum(dtype=torch.float64)
    ranks.sum(trace)
    trace /= rows
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(width, min(LEADING, width // 2), generator=generator)
    for _ in range(SWEEPS):
        basis = torch.linalg.qr(_second_times(parts, basis, ranks) / rows).Q
    inner = torch.zeros(basis.shape[1], basis.shape[1], dtype=torch.float64)
    for x in parts:
        inside = x @ basis
        inner += (inside.T @ inside).double() / rows
    ranks.sum(inner)
    sizes, turned = torch.linalg.eigh(inner)
    left = width - len(sizes)
    rest = float((trace - sizes.sum()).clamp_min(0)) / left
    return _Leading(trace / width, sizes, basis @ turned.float(), rest, left)


def _second_times(parts: Sequence[Tensor], basis: Tensor, ranks: Ranks) -> Tensor:
    """(x'x) basis [width, kept], without x'x."""
    found = torch.zeros_like(basis)
    for x in parts:
        found += x.T @ (x @ basis)
    ranks.sum(found)
    return found
