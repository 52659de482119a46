"""A budget of parameters, the ranks that it may buy, and the rules that share it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from transplant.basis.allocate import (
    allocate_by_widths,
    allocate_exact,
    allocate_greedy,
    allocate_one_rank,
    allocate_uniform,
    kept,
)
from transplant.basis.choices import Choices, choices_of
from transplant.basis.config import (
    ENERGY,
    FISHER,
    GRADIENTS,
    STEP,
    UNIFORM,
    WIDTHS,
    AllocateConfig,
    lora_rank,
)
from transplant.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.basis.fit import Basis
    from transplant.basis.maps import LinearMap

Rule = Callable[[Mapping[str, Choices], int], dict[str, int]]


def budget_of(config: AllocateConfig, maps: Sequence[LinearMap]) -> int:
    """The budget in parameters: as it was given, or that of a LoRA on the same maps."""
    if config.budget is not None:
        return config.budget
    return lora_rank(str(config.budget_like)) * sum(m.out + m.into for m in maps)


def choices_by_map(
    maps: Sequence[LinearMap],
    basis: Basis,
    scores: Mapping[str, Sequence[float] | Tensor],
    config: AllocateConfig,
) -> dict[str, Choices]:
    """The ranks that each map may take as an adapter, by name.

    Rank r has r^2 parameters inside directions of outputs, r * out along those of gradients.

    Args:
        maps: of the backbone.
        basis: of those maps.
        scores: of their directions, by name.
        config: settled, see `AllocateConfig.settled`.
    """
    free = basis.directions == GRADIENTS
    return {
        m.name: choices_of(
            [float(s) for s in scores[m.name][: basis.spectra[m.name].kept]],
            lambda r, out=m.out: r * (out if free else r),
            step=config.step or STEP, r_min=config.r_min, r_max=config.r_max,
        )
        for m in maps
    }  # fmt: skip


def check_pays(
    maps: Sequence[LinearMap], basis: Basis, config: AllocateConfig, budget: int
) -> None:
    """Refuses a budget that does not pay for the smallest ranks: the sizes alone decide.

    Raises:
        InputError: it says what would.
    """
    energies = {name: spectrum.energies for name, spectrum in basis.spectra.items()}
    choices = choices_by_map(maps, basis, energies, config)
    _rule(config.score, maps, otherwise=allocate_uniform)(choices, budget)


def allocate(
    choices: Mapping[str, Choices], budget: int, score: str, maps: Sequence[LinearMap]
) -> dict[str, int]:
    """Ranks by a score; `uniform` gives every map the same one, `widths` what a LoRA gives it.

    Raises:
        InputError: a budget that does not pay for the smallest ranks, or for one rank in all maps.
    """
    return _rule(score, maps)(choices, budget)


def _rule(score: str, maps: Sequence[LinearMap], otherwise: Rule = allocate_exact) -> Rule:
    widths = {m.name: m.out + m.into for m in maps}
    rules: dict[str, Rule] = {
        UNIFORM: allocate_one_rank, WIDTHS: partial(allocate_by_widths, widths=widths)
    }  # fmt: skip
    return rules.get(score, otherwise)


def energy_scores(basis: Basis) -> dict[str, Tensor]:
    """The share of each direction in the energy of its map [k]: comparable between maps."""
    return {
        name: s.energies[: s.kept] / s.energies.sum().clamp_min(1e-300)
        for name, s in basis.spectra.items()
    }


def check_felt(scores: Mapping[str, Tensor]) -> None:
    """Refuses Fisher information that is 0 of every direction: there is nothing to allocate by.

    Raises:
        InputError: as where what comes behind these maps multiplies by 0.
    """
    if not any(bool(score.any()) for score in scores.values()):
        raise InputError(
            f"`score`: the loss on this text does not depend on any of {len(scores)} maps",
            expected="Fisher information above 0", found="0 of every direction",
            hint=f"other `layers`, or `score={ENERGY!r}`",
        )  # fmt: skip


def shares(
    choices: Mapping[str, Choices], whole: float, budget: int, ranks: Mapping[str, int]
) -> dict[str, float]:
    """The share of the whole score that three allocations keep."""
    tried = {
        "exact": allocate_exact(choices, budget), "greedy": allocate_greedy(choices, budget),
        "uniform": allocate_uniform(choices, budget), "chosen": ranks,
    }  # fmt: skip
    return {name: kept(choices, found) / whole for name, found in tried.items()}


def whole_score(scores: Mapping[str, Tensor], basis: Basis, score: str) -> float:
    """The sum over all directions; Fisher information is known of those that are kept alone."""
    if score == FISHER:
        return sum(float(one.sum()) for one in scores.values())
    return float(sum(spectrum.kept > 0 for spectrum in basis.spectra.values()))  # 1 for each map
