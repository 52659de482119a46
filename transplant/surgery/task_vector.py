"""Task vector: what a full fine-tune changed of its base's weights, for others of their shapes.

theta_target + gain (theta_tuned - theta_base) (Ilharco et al., arXiv 2212.04089), whole or, of its
linear maps alone, cut to pairs of one rank.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from transplant.backbones.view import Backbone
from transplant.backbones.views import view_of
from transplant.surgery.lora.update import LoraUpdate, Pair

SWEEPS, OVERSAMPLED = 4, 8


def same_weights(base: Backbone, tuned: Backbone, target: Backbone) -> bool:
    """Whether all three have weights of the same names and shapes."""
    shapes = [
        {name: tuple(tensor.shape) for name, tensor in one.model.state_dict().items()}
        for one in (base, tuned, target)
    ]
    return shapes[0] == shapes[1] == shapes[2]


@torch.no_grad()
def added_to(base: Backbone, tuned: Backbone, target: Backbone, gain: float = 1.0) -> Backbone:
    """A copy of the target with the task vector in it; nothing else changes.

    Args:
        base: what was tuned.
        tuned: the full fine-tune.
        target: of the same shapes, see `same_weights`.
        gain: the factor on what is added.
    """
    model = copy.deepcopy(target.model)
    ours, theirs = base.model.state_dict(), tuned.model.state_dict()
    for name, parameter in model.named_parameters():  # what is tied is there once
        change = theirs[name].float() - ours[name].float()
        parameter.copy_(parameter.float() + gain * change.to(parameter.device))
    return view_of(f"{target.name}+{tuned.name}", model, target.tokenizer)


@torch.no_grad()
def cut_to_pairs(
    base: Backbone, tuned: Backbone, names: Iterable[str], rank: int, *, seed: int = 0
) -> LoraUpdate:
    """Of each map the leading singular directions of its change, as a pair B A of that rank.

    Args:
        base: what was tuned.
        tuned: the full fine-tune.
        names: of linear maps that both have.
        rank: of every pair, at most.
        seed: of the start of the iteration.
    """
    generator, pairs = torch.Generator().manual_seed(seed), {}
    for name in names:
        ours, theirs = (one.model.get_submodule(name) for one in (base, tuned))
        weights = [one.get_parameter("weight").float().cpu() for one in (theirs, ours)]
        delta = weights[0] - weights[1]
        delta = delta if isinstance(ours, nn.Linear) else delta.T  # [out, in]
        a, b = leading(delta, rank, generator)
        pairs[name] = Pair(a.to(base.device), b.to(base.device), None, 1.0)
    return LoraUpdate(pairs, {})


def leading(matrix: Tensor, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A [rank, in] and B [out, rank] of the best approximation B A of a matrix [out, in].

    By subspace iteration (Halko, Martinsson and Tropp, "Finding structure with randomness", 2011).

    Args:
        matrix: [out, in].
        rank: kept of it; fewer where it is smaller.
        generator: draws the start.
    """
    columns = min(rank + OVERSAMPLED, *matrix.shape)
    basis = matrix @ torch.randn(matrix.shape[1], columns, generator=generator)
    for _ in range(SWEEPS):
        basis = torch.linalg.qr(basis).Q
        basis = matrix @ (matrix.T @ basis)
    basis = torch.linalg.qr(basis).Q
    u, s, vh = torch.linalg.svd(basis.T @ matrix, full_matrices=False)
    root = s[:rank].sqrt()
    return root[:, None] * vh[:rank], (basis @ u[:, :rank]) * root
