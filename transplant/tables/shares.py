"""Shares of what a native gains, as text: `recovered`, attributable shares, efficacies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

NO_CEILING, UNBOUNDED = "no ceiling", "unbounded"
NONE = -math.inf, math.inf


def share_text(value: float | None, form: str = ".3f") -> str:
    """A share of what the native gains; no number where that is nothing.

    Args:
        value: the share; None where there is none.
        form: how a number is written, as in a format string.
    """
    return NO_CEILING if value is None or math.isnan(value) else format(value, form)


def share_in(shares: dict[str, float | None], system: str) -> str:
    """The share of one of several systems; nothing where none is asked for, as of the raw one."""
    return share_text(shares[system]) if system in shares else ""


def bounds_text(
    bounds: Sequence[float | None] | None, form: str = ".3f", between: str = " .. "
) -> str:
    """The interval of a share; nothing where there is no share.

    Args:
        bounds: low and high; infinite, or None as in JSON, where there is no bound.
        form: how a number is written.
        between: what stands between the bounds.
    """
    return "" if bounds is None else between.join(bound_text(bound, form) for bound in bounds)


def bounds_in(value: Any) -> tuple[float, float] | None:
    """The interval of a result as JSON has it, [low, high]; None where there is none on record.

    A bound that is null is none: infinite.
    """
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = (end if end is not None else none for end, none in zip(value, NONE, strict=True))
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in (low, high)):
        return None
    return float(low), float(high)


def bound_text(bound: float | None, form: str = ".3f") -> str:
    """One end of an interval."""
    return UNBOUNDED if bound is None or not math.isfinite(bound) else format(bound, form)


def kept_text(value: float | None) -> str:
    """What a gate keeps of a module's gain; no number where the module gains nothing."""
    return "nothing was gained" if value is None else f"{value:.1%}"
