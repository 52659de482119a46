"""Canonical correlation: a map through the directions that two spaces agree on most."""

from __future__ import annotations

import torch
from torch import Tensor

from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap
from transplant.errors import ShapeError

STRENGTH = 1e-3


def fit_cca(
    xy: CrossMoments, yy: CrossMoments, *, rank: int | None = None, strength: float = STRENGTH
) -> AffineMap:
    """x to y through canonical directions, each shrunk by its correlation.

    With x' = Sxx^-1/2 (x - mean) and y' alike, x'y' = U rho V'; the map is
    Sxx^-1/2 U rho V' Syy^1/2. All directions kept it is least squares; fewer leave out those on
    which the two sides do not agree (Hotelling 1936).

    Args:
        xy: moments of x and y.
        yy: moments of y and y, of the same rows.
        rank: directions to keep; None for all.
        strength: ridge on both covariances, relative to their mean diagonal.

    Raises:
        ShapeError: moments of different rows or widths.
    """
    if (yy.p, yy.q, yy.count) != (xy.q, xy.q, xy.count):
        raise ShapeError("moments of y", expected=(xy.q, xy.q, xy.count),
                         found=(yy.p, yy.q, yy.count))  # fmt: skip
    cov_x, cross, _ = xy.centred()
    cov_y, _, _ = yy.centred()
    _, white_x = _roots(cov_x, strength)
    root_y, white_y = _roots(cov_y, strength)
    u, rho, vt = torch.linalg.svd(white_x @ cross @ white_y, full_matrices=False)
    kept = slice(None, rank)
    weight = white_x @ (u[:, kept] * rho[kept]) @ vt[kept] @ root_y
    bias = xy.y / xy.count - xy.x / xy.count @ weight
    return AffineMap(weight.float(), bias.float())


def _roots(covariance: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """The square root of a covariance and its inverse."""
    values, vectors = torch.linalg.eigh(covariance)
    values = values.clamp_min(0.0) + strength * covariance.diagonal().mean().clamp_min(1e-12)
    roots = values.sqrt()
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
