"""Orthogonal Procrustes: the rotation between two spaces of one width."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap
from transplant.errors import NumericalError, ShapeError

ROUNDING = 1e-12  # of the second moment: what rows that are all the same vary by


@dataclass(frozen=True)
class Rotation:
    """x [rows, d] -> scale * (x - mean_x) @ matrix + mean_y, with an orthogonal matrix [d, d]."""

    matrix: Tensor
    scale: float
    mean_x: Tensor
    mean_y: Tensor

    def as_affine(self) -> AffineMap:
        """The same as weight and bias."""
        weight = self.scale * self.matrix
        return AffineMap(weight.float(), (self.mean_y - self.mean_x @ weight).float())


def fit_procrustes(moments: CrossMoments, *, scaled: bool = True) -> Rotation:
    """min |y - s x R| over orthogonal R (and s), on centred rows: R = U V' of x'y = U S V'.

    Schönemann, "A generalized solution of the orthogonal Procrustes problem", 1966.

    Raises:
        ShapeError: the two sides differ in width.
        NumericalError: rows that are all the same: they have no scale.
    """
    if moments.p != moments.q:
        raise ShapeError(
            "a rotation needs two spaces of one width", expected=moments.q, found=moments.p
        )
    xx, xy, _ = moments.centred()
    variance, size = float(xx.diagonal().sum()), float(moments.xx.diagonal().sum())
    if scaled and variance <= ROUNDING * size / moments.count:
        raise NumericalError("a rotation with a scale of rows that are all the same")
    u, singular, vt = torch.linalg.svd(xy)
    scale = float(singular.sum()) / variance if scaled else 1.0
    return Rotation(u @ vt, scale, moments.x / moments.count, moments.y / moments.count)


def fit_principal(moments: CrossMoments, width: int) -> AffineMap:
    """The projection of x onto its `width` leading principal directions, centred.

    What brings a wider space down to the width at which a rotation can be fitted.
    """
    if width > moments.p:
        raise ShapeError(
            "a rotation into a wider space needs more taps",
            expected=f"at least {width} features",
            found=moments.p,
        )
    xx, _, _ = moments.centred()
    _, vectors = torch.linalg.eigh(xx)  # ascending eigenvalues
    weight = vectors[:, -width:].flip(1)
    return AffineMap(weight.float(), (-(moments.x / moments.count) @ weight).float())
