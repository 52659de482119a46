"""A backbone whose maps are cut to the directions that their outputs use: W' = U_r U_r' W.

Of all maps of rank r that is the one with the least error on the calibration text. It equals the
truncation of SVD-LLM (Wang et al. 2024, arXiv 2403.07378), which finds it from the inputs; what
differs is that ranks are allocated, by one budget over all maps.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from transplant.backbones.load import view_of
from transplant.backbones.memory import copy_bytes
from transplant.backbones.view import Backbone
from transplant.basis.allocate import allocate_exact
from transplant.basis.choices import Choices
from transplant.basis.maps import LinearMap
from transplant.basis.spectrum import Spectrum
from transplant.errors import InputError
from transplant.memory import check_memory

SHARES = 10_000  # of the parameters: one is told to so many parts


def most_useful_rank(of: LinearMap) -> int:
    """The largest rank that is cheaper than the whole map: r (out + in) < out * in."""
    return (of.out * of.into - 1) // (of.out + of.into)


def check_directions(
    maps: Sequence[LinearMap], spectra: Mapping[str, Spectrum], max_rank: int, basis: str
) -> None:
    """Refuses a basis whose `max_rank` hides what a map could keep: its other ranks look whole.

    A map that has fewer directions for another reason (a floor, few tokens) has them all.

    Args:
        maps: that are to be cut.
        spectra: by the name of the map.
        max_rank: that the basis was fitted with.
        basis: its name, for the message.

    Raises:
        InputError: it says which `max_rank` would do.
    """
    short = [m for m in maps if spectra[m.name].kept == max_rank and max_rank < most_useful_rank(m)]
    if short:
        needed = max(map(most_useful_rank, short))
        raise InputError(
            f"{basis} keeps too few directions to choose how far {len(short)} of {len(maps)} maps "
            "are cut",
            expected=f"a basis fitted with `max_rank` {needed:,} or more",
            found=f"`max_rank` {max_rank:,}", hint=f"`basis_fit(..., max_rank={needed})`",
        )  # fmt: skip


def compressed_choices(
    of: LinearMap, scores: Sequence[float], step: int, most: float | None = None
) -> Choices:
    """The ranks that a map may be cut to: r takes r (out + in) parameters, the whole out * in.

    Multiples of a step, and all of its directions, where that is cheaper than the whole map. The
    whole map stands for the rank `out`; it keeps everything.

    Args:
        of: the map.
        scores: of its directions, in order of energy.
        step: between ranks.
        most: what the whole map is worth; None for the sum of the scores.
    """
    whole = of.out * of.into
    kept = torch.tensor(scores, dtype=torch.float64).cumsum(0).tolist()
    tried = sorted({*range(step, len(scores) + 1, step), len(scores)} - {0})
    ranks = [r for r in tried if r * (of.out + of.into) < whole]
    costs = [r * (of.out + of.into) for r in ranks]
    values = [kept[r - 1] for r in ranks]
    if most is None:
        most = kept[-1] if kept else 0.0
    return Choices((*ranks, of.out), (*costs, whole), (*values, most))


def compressed_ranks(
    maps: Sequence[LinearMap], scores: Mapping[str, Sequence[float]], ratio: float, step: int,
    most: float | None = None,
) -> dict[str, int]:  # fmt: skip
    """The rank of each map under a share of the parameters of all of them; `out` is whole.

    Args:
        maps: that may be cut.
        scores: of their directions, by name, in order of energy.
        ratio: the share that is kept.
        step: between ranks.
        most: what each whole map is worth: 1 for shares of energy; None for the sum of its scores.

    Raises:
        InputError: a share that does not pay for the smallest ranks.
    """
    choices = {m.name: compressed_choices(m, scores[m.name], step, most) for m in maps}
    whole = sum(m.out * m.into for m in maps)
    budget = int(ratio * whole)
    least = sum(one.costs[0] for one in choices.values())
    if budget < least:
        share = math.ceil(least / whole * SHARES + 1e-6) / SHARES
        raise InputError(
            f"`compress`: {ratio:g} of the parameters do not pay for the smallest ranks, {step} of "
            "each map",
            expected=f"{share:g} or more", found=f"{ratio:g}",
            hint="a larger `compress`, or a basis of fewer `layers`",
        )  # fmt: skip
    return allocate_exact(choices, budget)


def parameters_of(maps: Sequence[LinearMap], ranks: Mapping[str, int]) -> int:
    """What maps of these ranks take, as two factors where they are cut."""
    return sum(min(ranks[m.name] * (m.out + m.into), m.out * m.into) for m in maps)


def check_cut_memory(backbone: Backbone, maps: Sequence[LinearMap]) -> None:
    """Refuses a cut that memory does not hold: a copy of the weights, and the product of one map.

    Raises:
        MemoryLimitError: names both.
    """
    # Of W, of U_r U_r' W, and of U_r with U_r' W, which take no more than W where a cut pays.
    needed = {
        "a copy of its weights": copy_bytes(backbone.model),
        "the cut of its largest map": 3 * 8 * max(m.out * m.into for m in maps),
    }
    check_memory(f"a cut of {backbone.name}", needed, "a smaller model, or a machine with more")


def truncated(weight: Tensor, spectrum: Spectrum, rank: int) -> Tensor:
    """U_r U_r' W [out, in], float64, of W [out, in]."""
    u = spectrum.vectors[:, :rank].double()
    return u @ (u.T @ weight.detach().cpu().double())


@torch.no_grad()
def with_weights(name: str, backbone: Backbone, weights: Iterable[tuple[str, Tensor]]) -> Backbone:
    """A copy of a backbone in which some maps have other weights W [out, in].

    Args:
        name: of the copy.
        backbone: stays as it is.
        weights: with the name of the module, each taken in before the next one is asked for.
    """
    from transformers.pytorch_utils import Conv1D

    backbone.require_weights("a compressed copy")
    model = copy.deepcopy(backbone.model)
    for module, weight in weights:
        owner = model.get_submodule(module)
        owner.weight.copy_(weight.T if isinstance(owner, Conv1D) else weight)
        del weight
    return view_of(name, model, backbone.tokenizer)
