"""Similarity of layers: linear centred kernel alignment, without its bias for few rows.

Kornblith et al., arXiv:1905.00414, with the unbiased HSIC of Song et al. (JMLR 2012, eq. 5), as
Nguyen et al. (arXiv:2010.15327) use it; written as an inner product of U-centred kernels (Szekely
and Rizzo 2014, section 3). Of unrelated rows it is 0 on average however wide they are, where the
plain one comes near 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from transplant.errors import ShapeError

LEAST = 8  # rows: the estimator divides by n - 3


def linear_cka(x: Tensor, y: Tensor) -> float:
    """Linear CKA of paired rows x [rows, p] and y [rows, q], without bias; about 0 to 1.

    Raises:
        ShapeError: unequal numbers of rows, or fewer than `LEAST`.
    """
    if len(x) != len(y):
        raise ShapeError("similarity takes paired rows", expected=len(x), found=len(y))
    return kernel_alignment(centred_kernel(x), centred_kernel(y))


def centred_kernel(rows: Tensor) -> Tensor:
    """The U-centred linear kernel of rows [n, width]: float64 [n, n], its diagonal 0.

    Raises:
        ShapeError: fewer than `LEAST` rows.
    """
    n = len(rows)
    if n < LEAST:
        raise ShapeError("similarity of few rows", expected=f"{LEAST} or more", found=n)
    rows = rows.double() - rows.double().mean(0)
    kernel = rows @ rows.T
    kernel.fill_diagonal_(0)
    sums = kernel.sum(0) / (n - 2)
    kernel -= sums[None] + sums[:, None]
    kernel += sums.sum() / (n - 1)
    return kernel.fill_diagonal_(0)


def kernel_alignment(a: Tensor, b: Tensor) -> float:
    """The cosine of two centred kernels of the same rows [n, n]; 0 where one has no spread."""
    own = a.square().sum() * b.square().sum()
    return float((a * b).sum() / own.sqrt()) if own > 0 else 0.0


def shuffled(kernel: Tensor, seed: int) -> Tensor:
    """The kernel of the same rows in random order: of no relation to any other."""
    order = torch.randperm(len(kernel), generator=torch.Generator().manual_seed(seed))
    return kernel[order][:, order]
