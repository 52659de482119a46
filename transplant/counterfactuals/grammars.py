"""Grammars of minimal pairs by task, and pairs that are drawn from them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from transplant.counterfactuals import (
    agreement,
    coreference,
    negation,
    python_scope,
    python_type,
)
from transplant.counterfactuals.template import MinimalPair, Template
from transplant.errors import InputError

GRAMMARS: dict[str, tuple[Template, ...]] = {
    "agreement": agreement.TEMPLATES,
    "coref": coreference.TEMPLATES,
    "negation": negation.TEMPLATES,
    "python-scope": python_scope.TEMPLATES,
    "python-type": python_type.TEMPLATES,
}


@dataclass(frozen=True)
class DrawnPair:
    """A minimal pair, and where in its grammar it stands."""

    pair: MinimalPair
    field: str
    couple: str
    """What it has in common with its mirror image: `<task>-<field>-<number>`."""


def capacity(task: str) -> int:
    """How many different pairs a grammar can make.

    Raises:
        InputError: there is no such task.
    """
    return 2 * sum(template.couples for template in _grammar(task))


def draw_pairs(task: str, n: int, *, seed: int = 0) -> list[DrawnPair]:
    """Draws different pairs of a grammar, spread evenly over its fields.

    Pairs come in couples, so that words alone tell nothing (see `template`); where `n` is odd, the
    last couple is cut. A field that is used up leaves its share to the others.

    Args:
        task: one of `GRAMMARS`.
        n: how many.
        seed: of the draw.

    Raises:
        InputError: no such task, no pair wanted, or more than the grammar can make.
    """
    templates, most = _grammar(task), capacity(task)
    if not 1 <= n <= most:
        raise InputError(
            "`n`", expected=f"from 1 to {most:,}, which is what the grammar of {task} makes",
            found=f"{n:,}",
        )  # fmt: skip
    generator = random.Random(seed)
    chosen = [
        (template, number)
        for template, share in zip(templates, _shares(templates, -(-n // 2)), strict=True)
        for number in generator.sample(range(template.couples), share)
    ]
    generator.shuffle(chosen)
    return [
        DrawnPair(pair, template.field, f"{task}-{template.field}-{number}")
        for template, number in chosen
        for pair in template.couple(number)
    ][:n]


def _grammar(task: str) -> tuple[Template, ...]:
    if task not in GRAMMARS:
        raise InputError("`task`", expected=f"one of {', '.join(GRAMMARS)}", found=task)
    return GRAMMARS[task]


def _shares(templates: Sequence[Template], couples: int) -> list[int]:
    """How many couples each template makes: as equal as its own number allows."""
    shares = [0] * len(templates)
    while (left := couples - sum(shares)) > 0:
        open_ones = [i for i, one in enumerate(templates) if shares[i] < one.couples]
        each, more = divmod(left, len(open_ones))
        for place, i in enumerate(open_ones):
            shares[i] = min(templates[i].couples, shares[i] + each + (place < more))
    return shares
