"""The eigenbasis of a second moment, found also where it is badly conditioned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from transplant.errors import NumericalError

RETRIES = 3
JITTER = 1e-12  # of the mean eigenvalue, added to the diagonal at the first retry; then x 100
TOLERANCE = 1e-8  # of U'U against the identity


@dataclass(frozen=True)
class Spectrum:
    """K = U diag(energies) U', the most energy first."""

    vectors: Tensor  # U [width, k]; float64, in single precision where it was read from a file
    energies: Tensor  # [width], float64, d^2: all of them, those that were dropped included

    @property
    def kept(self) -> int:
        """The number of directions k."""
        return self.vectors.shape[1]

    @property
    def scales(self) -> Tensor:
        """D [k]: the root mean square of y along each direction that is kept."""
        return self.energies[: self.kept].sqrt()

    def error(self, rank: int) -> float:
        """E|y - U_r U_r' y|^2: the sum of the energies that rank r drops."""
        return float(self.energies[rank:].sum())


def eigenbasis(
    moment: Tensor, *, floor: float = 1e-9, shrinkage: float = 0.0, max_rank: int | None = None
) -> Spectrum:
    """Eigenvectors of a symmetric matrix that is positive semidefinite up to rounding.

    Args:
        moment: K [width, width], float64.
        floor: share of the largest eigenvalue under which directions are dropped.
        shrinkage: s of (1 - s) K + s mean(diag K) I; it moves the energies, not the directions
            (Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance
            matrices").
        max_rank: the most directions that are kept.

    Raises:
        NumericalError: K holds NaN or infinity, or no decomposition is orthonormal.
    """
    if not torch.isfinite(moment).all():
        raise NumericalError("a second moment holds NaN or infinity")
    moment = (moment + moment.T) / 2
    mean = float(moment.diagonal().mean())
    if mean <= 0:
        return Spectrum(moment[:, :0], moment.new_zeros(len(moment)))
    values, vectors = _decomposed(moment / mean)
    values = shrunk(mean * values.flip(0).clamp_min(0), shrinkage)
    kept = kept_of(values, floor, max_rank)
    return Spectrum(vectors.flip(1)[:, :kept].contiguous(), values)


def root_of(moment: Tensor) -> Tensor:
    """T [width, rank] of K = T T', the directions of most energy first, without those of none.

    Raises:
        NumericalError: as `eigenbasis`.
    """
    whole = eigenbasis(moment, floor=len(moment) * torch.finfo(moment.dtype).eps)
    return whole.vectors * whole.scales


def eigenbasis_of_product(
    factor: Tensor, *, floor: float = 1e-9, shrinkage: float = 0.0, max_rank: int | None = None
) -> Spectrum:
    """`eigenbasis(A A')` by the smaller of A A' and A' A.

    A' A = V diag(energies) V' has the same energies; its directions are those of A V, and as many
    as A has columns at most.

    Args:
        factor: A [width, rank], float64.
        floor: as in `eigenbasis`, like the others.
        shrinkage: of all energies, those that are zero included.
        max_rank: the most directions that are kept.

    Raises:
        NumericalError: as `eigenbasis`.
    """
    width, columns = factor.shape
    if not columns:
        return Spectrum(factor, factor.new_zeros(width))
    if width <= columns:
        return eigenbasis(factor @ factor.T, floor=floor, shrinkage=shrinkage, max_rank=max_rank)
    inner = eigenbasis(factor.T @ factor, floor=0.0)
    values = shrunk(functional.pad(inner.energies, (0, width - columns)), shrinkage)
    kept = min(kept_of(values, floor, max_rank), inner.kept)
    # Orthonormal to rounding where A V alone is not: for directions near the floor.
    return Spectrum(torch.linalg.qr(factor @ inner.vectors[:, :kept]).Q, values)


def shrunk(energies: Tensor, shrinkage: float) -> Tensor:
    """(1 - s) energies + s their mean [width]."""
    return (1 - shrinkage) * energies + shrinkage * energies.mean()


def kept_of(energies: Tensor, floor: float, max_rank: int | None) -> int:
    """How many of the energies, the largest first, are above their floor and within a rank."""
    kept = int((energies > floor * energies[0]).sum())
    return min(kept, max_rank or kept)


def _decomposed(moment: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and vectors; jitter is added where a solver fails, and taken off."""
    unit = torch.eye(len(moment), dtype=moment.dtype, device=moment.device)
    reason = "no solver ran"
    for attempt in range(RETRIES + 1):
        jitter = JITTER * 100 ** (attempt - 1) if attempt else 0.0
        try:
            values, vectors = torch.linalg.eigh(moment + jitter * unit)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            continue
        off = float((vectors.T @ vectors - unit).abs().max())
        if off < TOLERANCE:
            return values - jitter, vectors
        reason = f"U'U is off by {off:.1e}"
    raise NumericalError(
        f"no eigenbasis of a second moment [{len(moment)}, {len(moment)}] in {RETRIES + 1} tries",
        found=reason, hint="a larger `shrinkage`, or more `tokens`",
    )  # fmt: skip
