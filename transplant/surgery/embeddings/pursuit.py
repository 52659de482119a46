"""Orthogonal matching pursuit: a vector as a combination of a few of many others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.backbones.arithmetic import multiplies
from transplant.errors import InputError, ShapeError
from transplant.progress import Progress, unseen

CHUNK = 256  # vectors at a time: bounds the memory
MANY = 8192  # atoms; of more, a rough product finds the likest
SHORTLIST = 16  # of them
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
def pursue(vectors: Tensor, atoms: Tensor, k: int, progress: Progress = unseen) -> Combination:
    """Picks k atoms for each vector, one by one, each time the one most like what is left.

    After each pick all weights are solved for again, so that what is left is orthogonal to
    everything picked (Pati, Rezaiifar, Krishnaprasad 1993). Atoms are compared by direction, in
    float64; of more than `MANY` the `SHORTLIST` likest are found in bfloat16 first, where the
    device multiplies that: several times as fast.

    Args:
        vectors: [n, d].
        atoms: [m, d].
        k: how many to pick; fewer where there are fewer atoms.
        progress: told of each part of the vectors.

    Raises:
        ShapeError: other widths on the two sides.
        InputError: no atoms, or none to pick.
    """
    if vectors.shape[1] != atoms.shape[1]:
        raise ShapeError("vectors and atoms", expected=atoms.shape[1], found=vectors.shape[1])
    if k < 1 or len(atoms) == 0:
        raise InputError("a pursuit picks at least one of some atoms", found=(k, len(atoms)))
    k = min(k, len(atoms))
    known = Atoms.of(atoms)
    parts: list[Combination] = []
    for number, part in enumerate(vectors.split(CHUNK)):
        parts.append(_pursue(part.double(), known, k))
        progress(min((number + 1) * CHUNK, len(vectors)), len(vectors), "rows combined")
    if not parts:
        empty = vectors.new_zeros(0, k)
        return Combination(empty.long(), empty)
    return Combination(torch.cat([p.indices for p in parts]), torch.cat([p.weights for p in parts]))


@dataclass(frozen=True)
class Atoms:
    """What a pursuit picks from."""

    rows: Tensor  # float64 [m, d]
    directions: Tensor  # the same, of length 1
    rough: Tensor | None  # the directions in bfloat16, where a shortlist pays

    @classmethod
    def of(cls, rows: Tensor) -> Atoms:
        """Atoms [m, d] of any type."""
        rows = rows.double()
        directions = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-30)
        shortlists = len(rows) > MANY and multiplies(rows.device, torch.bfloat16)
        return cls(rows, directions, directions.bfloat16() if shortlists else None)

    def likest(self, left: Tensor, picked: Tensor) -> Tensor:
        """The atom most like each vector [n, d], none that is picked [n, j] already: [n, 1]."""
        if self.rough is None:
            likeness = (left @ self.directions.T).abs()  # [n, m]
            return likeness.scatter_(1, picked, -1.0).argmax(1, keepdim=True)
        likeness = (left.bfloat16() @ self.rough.T).abs()
        near = likeness.scatter_(1, picked, -1.0).topk(SHORTLIST, dim=1).indices
        likeness = torch.einsum("nsd,nd->ns", self.directions[near], left).abs()
        likeness[(near[:, :, None] == picked[:, None, :]).any(2)] = -1.0
        return near.gather(1, likeness.argmax(1, keepdim=True))


def _pursue(vectors: Tensor, atoms: Atoms, k: int) -> Combination:
    picked = vectors.new_zeros(len(vectors), 0, dtype=torch.long)
    chosen = vectors.new_zeros(len(vectors), 0, vectors.shape[1])  # [n, j, d]
    gram = vectors.new_zeros(len(vectors), k, k)
    weights = vectors.new_zeros(len(vectors), 0)
    left = vectors
    for at in range(k):
        picked = torch.cat([picked, atoms.likest(left, picked)], dim=1)
        chosen = torch.cat([chosen, atoms.rows[picked[:, -1:]]], dim=1)
        products = torch.einsum("njd,nd->nj", chosen, chosen[:, -1])
        gram[:, at, : at + 1] = gram[:, : at + 1, at] = products
        system = gram[:, : at + 1, : at + 1].clone()
        scale = system.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-30)
        system.diagonal(dim1=1, dim2=2).add_(TINY * scale[:, None])
        weights = torch.linalg.solve(system, (chosen @ vectors[:, :, None])[:, :, 0])
        left = vectors - torch.einsum("nj,njd->nd", weights, chosen)
    return Combination(picked, weights)
