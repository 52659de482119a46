"""Curves over budgets of domain text, and where training anew catches up with moving."""

from __future__ import annotations

import math
from collections.abc import Sequence

from transplant.errors import InputError
from transplant.values import parse_count

CURVES = {
    "moved": "the moved module, interface calibrated on the text while its donor teaches",
    "random": "a random module, fitted and calibrated in the same way",
    "native": "interface and module trained from scratch on the same text, for as many steps",
}
"""The curves over budgets of domain text, and what each is."""


def parse_budgets(text: str) -> tuple[int, ...]:
    """Turns text into budgets in tokens, ascending: 0,4k,1M is 0, 4,000 and 1,000,000.

    Raises:
        InputError: no list of budgets, or none above 0.
    """
    try:
        budgets = {parse_count("curve", part, least=0) for part in text.split(",")}
    except InputError as error:
        raise InputError("`curve`", expected="a list as 0,4k,1M", found=text) from error
    if max(budgets) == 0:
        raise InputError("`curve`", expected="budgets from 0 up, one of them above", found=text)
    return tuple(sorted(budgets))


def crossing(
    budgets: Sequence[int], moved: Sequence[float], native: Sequence[float]
) -> float | None:
    """The first budget, in tokens, at which the native is as good; None where it never is.

    Between two budgets both curves are taken to be straight in log(1 + tokens).

    Args:
        budgets: tokens, ascending.
        moved: recovered at each budget by the moved module.
        native: the same by a module trained on the target from scratch.
    """
    leads = [ours - theirs for ours, theirs in zip(moved, native, strict=True)]
    for i, lead in enumerate(leads):
        if lead > 0:
            continue
        if i == 0:
            return float(budgets[0])
        share = leads[i - 1] / (leads[i - 1] - lead)
        low, high = math.log1p(budgets[i - 1]), math.log1p(budgets[i])
        return math.expm1(low + share * (high - low))
    return None
