"""Recorded numbers against the same numbers computed again.

On the same text the two differ by the rounding of another machine and no more. On other text (the
standard library of another Python) they can only be near: that is no proof, and never called one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from transplant.errors import InputError

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """How far a recomputed number may be from the recorded one."""

    ppl: float
    """Of a perplexity, as a share of the recorded one."""
    recovered: float
    """Of recovered, as it is."""
    top5: float
    """Of the NIB's top-5 agreement."""
    top1: float
    """Of the NIB's top-1 agreement."""
    js: float
    """Of the NIB's divergence, in nats."""
    entropy: float
    """Of the NIB's entropy difference, in nats."""

    def of(self, name: str, recorded: float) -> float:
        """The distance that is allowed for one number.

        Args:
            name: as `ppl.raw`, `recovered.candidate` or `nib.top5`.
            recorded: the number.
        """
        kind, _, last = name.partition(".")
        if kind == "ppl":
            return self.ppl * abs(recorded)
        return float(getattr(self, last if kind == "nib" else kind))


SAME_TEXT = Tolerances(ppl=2e-4, recovered=5e-4, top5=2e-3, top1=2e-3, js=2e-4, entropy=1e-3)
"""Rounding, and a few positions at which two words are as good as equally likely."""
OTHER_TEXT = Tolerances(ppl=0.2, recovered=0.08, top5=0.06, top1=0.08, js=0.03, entropy=0.12)
"""Some documents are others: about the spread between samples of documents."""


@dataclass(frozen=True)
class Compared:
    """One number, recorded and recomputed; None is a share of a native's gain that is nothing."""

    name: str
    recorded: float | None
    recomputed: float | None
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether the two are as near as the tolerance says; NaN is near nothing.

        Where the native turns out to gain nothing there is no share to hold against a recorded
        one, and the perplexities decide. A share that was not recorded agrees with no number.
        """
        if self.recomputed is None:
            return True
        return self.recorded is not None and abs(self.recomputed - self.recorded) <= self.tolerance


def compare_numbers(
    recorded: Mapping[str, float | None],
    recomputed: Mapping[str, float | None],
    tolerances: Tolerances,
) -> tuple[Compared, ...]:
    """Holds every recomputed number against the recorded one of its name.

    Raises:
        InputError: there is none of that name, or it is not finite.
    """
    missing = [name for name in recomputed if not math.isfinite(recorded.get(name, math.nan) or 0)]
    if missing:
        raise InputError("the record lacks numbers", expected="all", found=f"no {missing}")
    return tuple(
        Compared(name, recorded[name], value, tolerances.of(name, recorded[name] or 0.0))
        for name, value in recomputed.items()
    )


def sign_flipped(module: ModuleT) -> ModuleT:
    """A copy whose largest tensor has the other sign: it must not reproduce anything."""
    flipped = copy.deepcopy(module)
    with torch.no_grad():
        max(flipped.parameters(), key=lambda parameter: parameter.numel()).neg_()
    return flipped
