"""Orthogonal matching pursuit: a vector as a combination of a few of many others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.errors import InputError, ShapeError

CHUNK = 256  # vectors at a time: bounds the memory
TINY = 1e-10  # on the diagonal of the systems, relative to it


@dataclass(frozen=True)
class Combination:
    """Of each vector: which atoms, and how much of each; x ~ sum_j weights_j atoms[indices_j]."""

    indices: Tensor  # int64 [n, k]
    weights: Tensor  # [n, k]

    def of(self, atoms: Tensor) -> Tensor:
        """The same combinations of other atoms [m, d]: [n, d]."""
        return torch.einsum("nk,nkd->nd", self.weights.to(atoms.dtype), atoms[self.indices])


@torch.no_grad()
def pursue(vectors: Tensor, atoms: Tensor, k: int) -> Combination:
    """Picks k atoms for each vector, one by one, each time the one most like what is left.

    After each pick all weights are solved for again, so that what is left is orthogonal to
    everything picked (Pati, Rezaiifar, Krishnaprasad 1993). Atoms are compared by direction.

    Args:
        vectors: [n, d].
        atoms: [m, d].
        k: how many to pick; fewer where there are fewer atoms.

    Raises:
        ShapeError: other widths on the two sides.
        InputError: no atoms, or none to pick.
    """
    if vectors.shape[1] != atoms.shape[1]:
        raise ShapeError("vectors and atoms", expected=atoms.shape[1], found=vectors.shape[1])
    if k < 1 or len(atoms) == 0:
        raise InputError("a pursuit picks at least one of some atoms", found=(k, len(atoms)))
    k = min(k, len(atoms))
    atoms = atoms.double()
    directions = atoms / atoms.norm(dim=1, keepdim=True).clamp_min(1e-30)
    parts = [_pursue(part.double(), atoms, directions, k) for part in vectors.split(CHUNK)]
    if not parts:
        empty = torch.zeros(0, k)
        return Combination(empty.long(), empty)
    return Combination(torch.cat([p.indices for p in parts]), torch.cat([p.weights for p in parts]))


def _pursue(vectors: Tensor, atoms: Tensor, directions: Tensor, k: int) -> Combination:
    picked = torch.zeros(len(vectors), 0, dtype=torch.long)
    weights = torch.zeros(len(vectors), 0, dtype=torch.float64)
    left = vectors
    for _ in range(k):
        likeness = (left @ directions.T).abs()  # [n, m]
        likeness.scatter_(1, picked, -1.0)
        picked = torch.cat([picked, likeness.argmax(1, keepdim=True)], dim=1)
        chosen = atoms[picked]  # [n, j, d]
        gram = chosen @ chosen.transpose(1, 2)
        scale = gram.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-30)
        gram.diagonal(dim1=1, dim2=2).add_(TINY * scale[:, None])
        weights = torch.linalg.solve(gram, (chosen @ vectors[:, :, None])[:, :, 0])
        left = vectors - torch.einsum("nj,njd->nd", weights, chosen)
    return Combination(picked, weights)
