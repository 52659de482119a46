"""Spectra of maps and of hidden states, and the number of directions that they amount to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.errors import NumericalError

KEPT = 16  # leading values of a spectrum that are reported


@dataclass(frozen=True)
class Spectrum:
    """What singular values, or variances along principal directions, say in a few numbers."""

    dimensions: int
    """Values, those of 0 among them."""
    effective_rank: float
    """exp of the entropy of the values as shares of their sum (Roy and Vetterli, 2007)."""
    participation: float
    """Sum squared over the sum of squares: directions that share evenly would be as many."""
    stable_rank: float
    """The sum over the largest; of a map, of the squares of its singular values."""
    largest: tuple[float, ...]
    """The leading values, descending."""

    @classmethod
    def of(cls, values: Tensor, *, squared: bool = False) -> Spectrum:
        """The spectrum of values that are not negative [n], in any order.

        Args:
            values: singular values, or variances.
            squared: whether the stable rank is that of their squares, as a map's is.

        Raises:
            NumericalError: a value that is not finite.
        """
        values = values.double().clamp_min(0).sort(descending=True).values
        if not torch.isfinite(values).all():
            raise NumericalError("a spectrum", expected="finite values", found="NaN or infinite")
        total = values.sum()
        if total <= 0:
            return cls(len(values), 0.0, 0.0, 0.0, tuple(values[:KEPT].tolist()))
        shares = values / total
        entropy = -(shares * shares.clamp_min(1e-300).log()).sum()
        powers = values.square() if squared else values
        return cls(
            len(values),
            float(entropy.exp()),
            float(total.square() / values.square().sum()),
            float(powers.sum() / powers[0]),
            tuple(values[:KEPT].tolist()),
        )


def map_spectrum(*maps: Tensor) -> Spectrum:
    """The spectrum of a product of maps A1 A2 ... [n, m], by their singular values.

    Args:
        maps: matrices of shapes [n, k], [k, l], ..., whose product is not formed where k is small.
    """
    product = maps[0].double()
    for factor in maps[1:]:
        # A = Q R: the singular values of A B are those of R B, and Q is left out.
        if product.shape[0] > product.shape[1]:
            product = torch.linalg.qr(product, mode="r").R
        product = product @ factor.double()
    small = product if product.shape[0] <= product.shape[1] else product.T
    return Spectrum.of(torch.linalg.eigvalsh(small @ small.T).clamp_min(0).sqrt(), squared=True)


def state_spectrum(covariance: Tensor) -> Spectrum:
    """The spectrum of hidden states, by the eigenvalues of their covariance [width, width]."""
    return Spectrum.of(torch.linalg.eigvalsh(covariance.double()))


def piece_spectra(tensors: Mapping[str, Tensor]) -> dict[str, Spectrum]:
    """The spectrum of each matrix of a piece, by its name without `.weight`."""
    return {
        name.removesuffix(".weight"): map_spectrum(tensor)
        for name, tensor in tensors.items()
        if tensor.ndim == 2 and name.endswith(".weight")
    }
