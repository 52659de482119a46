"""Which columns of the taps a fit of a bounded width should read.

The leading directions of each tap's covariance are where its rows vary. What predicts y may lie
elsewhere: much of it is how taps differ. So the ridge regression on all columns is solved for, as
far as a few steps of conjugate gradients go: they read the rows once each and hold no matrix of all
columns. Its preconditioner is exact on the leading directions, jointly of all taps, and has the
mean variance on the rest. A tap's basis then spans the directions that its weights use most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.activations.covariance import Directions, TapCovariance
from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap
from transplant.alignment.basis import TapBases

Rows = Callable[[], Iterable[tuple[Sequence[Tensor], Tensor]]]
"""Gives blocks of paired rows, anew at each call: each tap's [rows, width], and y [rows, q]."""
COVARIANCE_ROWS = 4_096
"""Rows that the leading directions are computed from, at most."""
STEPS = 6
"""Of conjugate gradients."""


@dataclass(frozen=True)
class LeadingFit:
    """The ridge regression of y on the leading directions of every tap."""

    taps: tuple[Directions, ...]
    moments: CrossMoments
    ridge: float
    """Its absolute strength, as the regression on all columns has it."""

    @property
    def bases(self) -> TapBases:
        """The leading directions as bases."""
        return TapBases(tuple(tap.vectors.float() for tap in self.taps))

    def keeping(self, kept: Sequence[int]) -> LeadingFit:
        """The same for some of the taps."""
        sizes = self.bases.sizes
        starts = [sum(sizes[:tap]) for tap in range(len(sizes))]
        columns = torch.cat([torch.arange(starts[tap], starts[tap] + sizes[tap]) for tap in kept])
        part = CrossMoments(len(columns), self.moments.q)
        part.count, part.y, part.yy = self.moments.count, self.moments.y, self.moments.yy
        part.x, part.xy = self.moments.x[columns], self.moments.xy[columns]
        part.xx = self.moments.xx[columns][:, columns]
        return LeadingFit(tuple(self.taps[tap] for tap in kept), part, self.ridge)


def leading_directions(rows: Rows, count: int, seed: int) -> tuple[Directions, ...]:
    """The `count` leading directions of each tap, from the first `COVARIANCE_ROWS` rows."""
    found: list[TapCovariance] = []
    for taps, y in rows():
        if not found:
            found = [TapCovariance(tap.shape[1], count, seed + n) for n, tap in enumerate(taps)]
        for covariance, tap in zip(found, taps, strict=True):
            covariance.update(tap)
        if found[0].count >= max(COVARIANCE_ROWS, 2 * count) and len(y):
            break
    return tuple(covariance.directions(count) for covariance in found)


def fit_leading(rows: Rows, taps: tuple[Directions, ...], strength: float) -> LeadingFit:
    """The moments of y with the leading directions.

    Args:
        rows: the paired rows.
        taps: the leading directions of each tap.
        strength: of the ridge, relative to the mean variance of a column of all there are.
    """
    bases = TapBases(tuple(tap.vectors.float() for tap in taps))
    moments = moments_in(rows, bases)
    width = sum(len(tap.mean) for tap in taps)
    total = sum(
        float(tap.variances.sum()) + tap.rest * (len(tap.mean) - len(tap.variances)) for tap in taps
    )
    return LeadingFit(taps, moments, strength * max(total / width, 1e-12))


def moments_in(rows: Rows, bases: TapBases) -> CrossMoments:
    """The second moments of y with the columns of bases."""
    moments: CrossMoments | None = None
    for taps, y in rows():
        if moments is None:
            moments = CrossMoments(bases.columns, y.shape[1])
        moments.update(bases(taps), y)
    assert moments is not None, "no rows"
    return moments


def used_directions(rows: Rows, leading: LeadingFit, columns: int, steps: int = STEPS) -> TapBases:
    """For each tap a basis of its share of the columns: what the regression on all of them reads.

    Args:
        rows: the paired rows.
        leading: what the solver starts from.
        columns: of all taps together.
        steps: of the solver; each reads all rows once.
    """
    weights = _solve(rows, leading, steps)
    share = max(1, columns // len(leading.taps))
    blocks = []
    for tap, weight in zip(leading.taps, weights, strict=True):
        vectors = tap.vectors.float()
        inside = vectors.T @ weight  # [k, q]
        spread = tap.variances.float()[:, None]
        explained = inside.T @ (spread * inside)
        explained += tap.rest * (weight.T @ weight - inside.T @ inside)
        _, order = torch.linalg.eigh(explained.double())
        used = weight @ order.flip(1)[:, :share].float()  # [width, at most share]
        used = used / used.norm(dim=0).clamp_min(1e-30)
        # Where y has fewer dimensions than the tap's share, leading directions fill it.
        blocks.append(torch.linalg.qr(torch.cat([used, vectors], 1)[:, : len(tap.mean)])[0])
    return TapBases(tuple(block[:, :share].contiguous() for block in blocks))


def _solve(rows: Rows, leading: LeadingFit, steps: int) -> tuple[Tensor, ...]:
    """Conjugate gradients for each column of y alone; weights [width, q] of each tap."""
    bases, apply = leading.bases, _preconditioner(leading)
    system, xy = _coarse_system(leading)
    weights = bases.folded(AffineMap(torch.linalg.solve(system, xy).float(), xy[0].float())).weight
    del system
    left = _gradient(rows, leading, weights, whole=True)
    pulled = apply(left)
    direction, size = pulled.clone(), (left * pulled).sum(0)
    for step in range(steps):
        bent = _gradient(rows, leading, direction, whole=False)
        along = size / (direction * bent).sum(0).clamp_min(torch.finfo(bent.dtype).tiny)
        weights += along * direction
        if step == steps - 1:
            break
        left -= along * bent
        pulled = apply(left)
        before, size = size, (left * pulled).sum(0)
        direction = pulled + size / before.clamp_min(torch.finfo(bent.dtype).tiny) * direction
    return bases.split(weights)


def _gradient(rows: Rows, leading: LeadingFit, weights: Tensor, *, whole: bool) -> Tensor:
    """x'(y - x W) / rows - ridge W, centred; or, where not whole, x'x W / rows + ridge W."""
    parts = leading.bases.split(weights)
    means = [tap.mean.float() for tap in leading.taps]
    mean_y = (leading.moments.y / leading.moments.count).float()
    offset = torch.stack([mean @ part for mean, part in zip(means, parts, strict=True)]).sum(0)
    found = torch.zeros_like(weights)
    sums = [torch.zeros_like(mean) for mean in means]
    total, count = torch.zeros_like(mean_y), 0
    for taps, y in rows():
        reached = -offset.expand(len(y), -1)
        for tap, part in zip(taps, parts, strict=True):
            reached = torch.addmm(reached, tap.float(), part)
        error = y.float() - mean_y - reached if whole else reached
        for tap, place, summed in zip(taps, leading.bases.split(found), sums, strict=True):
            place.addmm_(tap.float().T, error)
            summed += tap.float().sum(0)
        total, count = total + error.sum(0), count + len(y)
    for place, summed in zip(leading.bases.split(found), sums, strict=True):
        place -= torch.outer(summed / count, total)
    found /= count
    return found - leading.ridge * weights if whole else found + leading.ridge * weights


def _coarse_system(leading: LeadingFit) -> tuple[Tensor, Tensor]:
    """The ridge system of the leading directions: (x'x + ridge [k, k], x'y [k, q]), centred."""
    xx, xy, _ = leading.moments.centred()
    xx.diagonal().add_(leading.ridge)
    return xx, xy


def _preconditioner(leading: LeadingFit) -> Callable[[Tensor], Tensor]:
    """Exact on the leading directions of all taps together; the mean variance of the rest beside.

    A two-level preconditioner, as of domain decomposition.
    """
    bases = leading.bases
    factor = torch.linalg.cholesky(_coarse_system(leading)[0])

    def apply(matrix: Tensor) -> Tensor:
        parts = bases.split(matrix)
        inside = [block.T @ part for block, part in zip(bases.blocks, parts, strict=True)]
        solved = torch.cholesky_solve(torch.cat(inside).double(), factor).float()
        places = zip(
            bases.blocks, parts, inside, solved.split(bases.sizes), leading.taps, strict=True
        )
        return torch.cat(
            [
                block @ (own - held / (tap.rest + leading.ridge))
                + part / (tap.rest + leading.ridge)
                for block, part, held, own, tap in places
            ]
        )

    return apply
