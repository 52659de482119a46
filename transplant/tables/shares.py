"""Shares of what a native gains, as text: `recovered`, attributable shares, efficacies."""

from __future__ import annotations

from collections.abc import Sequence

NO_CEILING = "no ceiling"


def share_text(value: float | None, form: str = ".3f") -> str:
    """A share of what the native gains; no number where that is nothing.

    Args:
        value: the share; None where there is none.
        form: how a number is written, as in a format string.
    """
    return NO_CEILING if value is None else format(value, form)


def share_in(shares: dict[str, float | None], system: str) -> str:
    """The share of one of several systems; nothing where none is asked for, as of the raw one."""
    return share_text(shares[system]) if system in shares else ""


def bounds_text(bounds: Sequence[float] | None, form: str = ".3f") -> str:
    """The interval of a share; nothing where there is no share."""
    return "" if bounds is None else f"{bounds[0]:{form}} .. {bounds[1]:{form}}"


def kept_text(value: float | None) -> str:
    """What a gate keeps of a module's gain; no number where the module gains nothing."""
    return "nothing was gained" if value is None else f"{value:.1%}"
