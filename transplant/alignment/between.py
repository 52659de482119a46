"""Fitting one space to another from paired rows, and judging it on rows held out.

Rows are row vectors and a map acts on the right: y ~ x @ weight + bias.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap
from transplant.alignment.cca import fit_cca
from transplant.alignment.procrustes import fit_procrustes
from transplant.alignment.ridge import fit_ridge
from transplant.errors import CorpusError, InputError

Rows = tuple[Tensor, Tensor]  # x [rows, p], y [rows, q]


@dataclass(frozen=True)
class Fit:
    """A map, and how near it brings held-out rows."""

    bridge: AffineMap
    pairs: int
    held_out: int
    r2: float
    cosine: tuple[float | None, float]
    """Mean cosine of the rows before and after; before only where the widths agree."""
    mse: tuple[float | None, float]
    """Mean squared error for each dimension, the same way."""


@dataclass(frozen=True)
class _Moments:
    xy: CrossMoments
    yy: CrossMoments


FITS: dict[str, Callable[[_Moments, float], AffineMap]] = {
    "ridge": lambda m, strength: fit_ridge(m.xy, strength),
    "procrustes": lambda m, _: fit_procrustes(m.xy).as_affine(),
    "rotation": lambda m, _: fit_procrustes(m.xy, scaled=False).as_affine(),
    "cca": lambda m, strength: fit_cca(m.xy, m.yy, strength=strength),
}


def fit_between(
    pairs: Iterable[Rows], held_out: Iterable[Rows], method: str, strength: float = 1e-3
) -> Fit:
    """Fits x to y.

    Args:
        pairs: the rows to fit on.
        held_out: the rows to judge on.
        method: `ridge`, `procrustes` (a rotation and a scale), `rotation` (without one) or `cca`.
        strength: of the ridge, relative to the mean variance of a feature.

    Raises:
        InputError: no such method.
        ShapeError: a rotation between spaces of different widths.
        CorpusError: nothing is paired, or nothing is left to judge on.
    """
    if method not in FITS:
        raise InputError("`method`", expected=f"one of {', '.join(FITS)}", found=method)
    moments, judged = _collect(pairs), list(held_out)
    if moments is None or not any(len(x) for x, _ in judged):
        raise CorpusError("no rows pair, or none are left to judge on", hint="more text")
    fitted = FITS[method](moments, strength)
    held = _collect(judged)
    assert held is not None
    same = moments.xy.p == moments.xy.q
    before = _nearness(judged, lambda x: x) if same else (None, None)
    after = _nearness(judged, fitted)
    return Fit(
        bridge=fitted,
        pairs=moments.xy.count,
        held_out=held.xy.count,
        r2=fitted.r2(held.xy),
        cosine=(before[0], after[0]),
        mse=(before[1], after[1]),
    )


def _collect(pairs: Iterable[Rows]) -> _Moments | None:
    found: _Moments | None = None
    for x, y in pairs:
        if len(x) == 0:
            continue
        if found is None:
            q = y.shape[1]
            found = _Moments(CrossMoments(x.shape[1], q), CrossMoments(q, q))
        found.xy.update(x, y)
        found.yy.update(y, y)
    return found


def _nearness(pairs: Iterable[Rows], apply: Callable[[Tensor], Tensor]) -> tuple[float, float]:
    """Mean cosine, and mean squared error."""
    cosine, squares, rows, width = 0.0, 0.0, 0, 1
    for x, y in pairs:
        x, y = x.cpu().float(), y.cpu().float()  # where the map was fitted
        found = apply(x)
        cosine += float(torch.cosine_similarity(found, y, dim=-1).sum())
        squares += float((found - y).pow(2).sum())
        rows, width = rows + len(x), y.shape[1]
    return cosine / rows, squares / rows / width
