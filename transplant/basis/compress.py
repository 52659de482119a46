"""A backbone whose maps are cut to the directions that their outputs use: W' = U_r U_r' W.

Of all maps of rank r that is the one with the least error on the calibration text. It equals the
truncation of SVD-LLM (Wang et al. 2024, arXiv 2403.07378), which finds it from the inputs; what
differs is that ranks are allocated, by one budget over all maps.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from transplant.backbones.load import view_of
from transplant.backbones.view import Backbone
from transplant.basis.allocate import allocate_exact, check_budget
from transplant.basis.choices import Choices
from transplant.basis.maps import LinearMap
from transplant.basis.spectrum import Spectrum


def compressed_choices(of: LinearMap, scores: Sequence[float], step: int) -> Choices:
    """The ranks that a map may be cut to: r takes r (out + in) parameters, the whole out * in.

    The whole map stands for the rank `out`; it keeps everything.

    Args:
        of: the map.
        scores: of its directions, in order of energy.
        step: between ranks.
    """
    whole = of.out * of.into
    kept = torch.tensor(scores, dtype=torch.float64).cumsum(0).tolist()
    ranks = [r for r in range(step, len(scores) + 1, step) if r * (of.out + of.into) < whole]
    costs = [r * (of.out + of.into) for r in ranks]
    values = [kept[r - 1] for r in ranks]
    return Choices((*ranks, of.out), (*costs, whole), (*values, kept[-1] if kept else 0.0))


def compressed_ranks(
    maps: Sequence[LinearMap], scores: Mapping[str, Sequence[float]], ratio: float, step: int
) -> dict[str, int]:
    """The rank of each map under a share of the parameters of all of them; `out` is whole.

    Raises:
        InputError: a share that does not pay for the smallest ranks.
    """
    choices = {m.name: compressed_choices(m, scores[m.name], step) for m in maps}
    budget = int(ratio * sum(m.out * m.into for m in maps))
    check_budget(choices, budget)
    return allocate_exact(choices, budget)


def parameters_of(maps: Sequence[LinearMap], ranks: Mapping[str, int]) -> int:
    """What maps of these ranks take, as two factors where they are cut."""
    return sum(min(ranks[m.name] * (m.out + m.into), m.out * m.into) for m in maps)


def truncated(weight: Tensor, spectrum: Spectrum, rank: int) -> Tensor:
    """U_r U_r' W [out, in], float64, of W [out, in]."""
    u = spectrum.vectors[:, :rank].double()
    return u @ (u.T @ weight.detach().cpu().double())


@torch.no_grad()
def with_weights(name: str, backbone: Backbone, weights: Mapping[str, Tensor]) -> Backbone:
    """A copy of a backbone in which some maps have other weights W [out, in].

    Args:
        name: of the copy.
        backbone: stays as it is.
        weights: by the name of the module.
    """
    from transformers.pytorch_utils import Conv1D

    backbone.require_weights("a compressed copy")
    model = copy.deepcopy(backbone.model)
    for module, weight in weights.items():
        owner = model.get_submodule(module)
        owner.weight.copy_(weight.T if isinstance(owner, Conv1D) else weight)
    return view_of(name, model, backbone.tokenizer)
