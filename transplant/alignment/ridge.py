"""Ridge regression with an intercept, from streamed moments."""

from __future__ import annotations

import torch
from scipy import linalg

from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap
from transplant.errors import InputError, NumericalError

STRENGTH = 1e-3


def fit_ridge(
    moments: CrossMoments, strength: float = STRENGTH, *, intercept: bool = True
) -> AffineMap:
    """min_W |y - x W - b|^2 + lambda |W|^2, lambda = `strength` x the mean diagonal of x'x.

    Solved in float64 by Cholesky; the intercept is not shrunk. Without one, b is 0.

    Raises:
        NumericalError: the system has no finite solution.
    """
    if strength <= 0:
        raise InputError("the ridge strength must be positive", found=strength)
    xx, xy, _ = moments.centred()
    if not intercept:
        xx, xy = moments.xx / moments.count, moments.xy / moments.count
    ridge = strength * xx.diagonal().mean().clamp_min(1e-12)  # features that never vary
    xx.diagonal().add_(ridge)
    try:
        # Symmetric, and transposed as LAPACK has it: it is factored where it lies.
        solved = linalg.solve(xx.numpy().T, xy.numpy(), overwrite_a=True, assume_a="pos")
    except (linalg.LinAlgError, ValueError) as error:
        raise NumericalError(f"the ridge system cannot be solved: {error}") from error
    weight = torch.from_numpy(solved)
    bias = moments.y / moments.count - moments.x / moments.count @ weight
    if not intercept:
        bias = torch.zeros_like(bias)
    return AffineMap(weight.float(), bias.float())
