"""Bounds on the fields of a configuration; a field that is a tuple has one value or more.

Reading a default must not load torch, so this module does not either.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from transplant.errors import InputError


def at_least(config: object, least: float, *fields: str) -> None:
    """Refuses a field below a number, and what is not finite.

    Raises:
        InputError: it names the field, the bound and what was found.
    """
    _check(config, fields, lambda value: least <= value < math.inf, f"at least {least:g}")


def above(config: object, bound: float, *fields: str) -> None:
    """Refuses a field that is a number or less, and what is not finite.

    Raises:
        InputError: it names the field, the bound and what was found.
    """
    _check(config, fields, lambda value: bound < value < math.inf, f"a number above {bound:g}")


def at_most(config: object, most: int, *fields: str) -> None:
    """Refuses a field above a number: no machine holds what it asks for.

    Raises:
        InputError: it names the field, the bound and what was found.
    """
    _check(config, fields, lambda value: value <= most, f"at most {most:,}")


def _check(
    config: object, fields: tuple[str, ...], holds: Callable[[float], bool], expected: str
) -> None:
    for field in fields:
        found = getattr(config, field)
        several = isinstance(found, tuple)
        if several and not found:
            raise InputError(field, expected=f"{expected}, once or more", found="nothing")
        if not all(map(holds, found if several else (found,))):
            raise InputError(field, expected=expected, found=found)
