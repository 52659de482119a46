"""Bounds on the fields of a configuration; a field that is a tuple has one value or more.

Reading a default must not load torch, so this module does not either.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from numbers import Integral
from typing import Annotated, Any

from transplant.errors import InputError


@dataclass(frozen=True)
class Bounds:
    """The smallest and the largest value of a number, both allowed; None for no bound.

    It stands in the type of a field, as `Annotated[int, Bounds(1)]`: `check_bounds` reads it there,
    and so does a command line that refuses a value while it is parsed.
    """

    low: float | None = None
    high: float | None = None


Count = Annotated[int, Bounds(1)]
"""A number of things, of which there is one at least."""
Length = Annotated[int, Bounds(2)]
"""Tokens of a window, of which one is predicted at least."""
LEAST_HELD = 64
Held = Annotated[int, Bounds(LEAST_HELD)]
"""Held-out tokens that something is judged on."""


def check_held(eval_tokens: int) -> None:
    """Refuses fewer held-out tokens than anything is judged on.

    Raises:
        InputError: it names the parameter.
    """
    if not (_is_whole(eval_tokens) and eval_tokens >= LEAST_HELD):
        raise InputError(
            "`eval_tokens`", expected=f"a whole number, {LEAST_HELD} or more", found=eval_tokens
        )


def check_bounds(config: object) -> None:
    """Refuses a field outside the bounds that its type declares, and what is no finite number.

    A field that is None is not looked at.

    Raises:
        InputError: it names the field, the bound and what was found.
    """
    for field, bounds, whole in _bounds_of(type(config)):
        if getattr(config, field) is None:
            continue
        if whole:
            _check(config, (field,), _is_whole, "a whole number")
        if bounds.low is not None:
            at_least(config, bounds.low, field)
        if bounds.high is not None:
            at_most(config, bounds.high, field)


@cache
def _bounds_of(config: type) -> tuple[tuple[str, Bounds, bool], ...]:
    """Each field with bounds, and whether it takes whole numbers alone."""
    hints: dict[str, Any] = typing.get_type_hints(config, include_extras=True)
    return tuple(
        (name, mark, hint.__origin__ in (int, int | None))
        for name, hint in hints.items()
        for mark in getattr(hint, "__metadata__", ())
        if isinstance(mark, Bounds)
    )


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


def at_most(config: object, most: float, *fields: str) -> None:
    """Refuses a field above a number: no machine holds what it asks for.

    Raises:
        InputError: it names the field, the bound and what was found.
    """
    _check(config, fields, lambda value: value <= most, f"at most {most:,}")


def one_of(config: object, field: str, known: Iterable[str]) -> None:
    """Refuses a field that is none of some names.

    Raises:
        InputError: it names the field, all that there are and what was found.
    """
    names, found = tuple(known), getattr(config, field)
    if found not in names:
        raise InputError(f"`{field}`", expected=f"one of {', '.join(names)}", found=found)


def refuse_idle(owner: str, expected: str, /, **given: object) -> None:
    """Refuses what was asked for beside something that leaves it without effect.

    Args:
        owner: what leaves it so.
        expected: what would be right.
        given: whether each was asked for, by parameter, or its value; None and False: it was not.

    Raises:
        InputError: it names all that were.
    """
    idle = [
        f"`{name}`" for name, value in given.items() if value is not None and value is not False
    ]
    if idle:
        raise InputError(f"{owner} has no use for {', '.join(idle)}", expected=expected)


def changed(config: object, *fields: str) -> dict[str, bool]:
    """Whether each of some fields has another value than its plain default."""
    return {name: getattr(config, name) != getattr(type(config), name) for name in fields}


def check_several(**given: object) -> None:
    """Refuses one text in the place of several, of which each character would be one.

    Args:
        given: by parameter; None where nothing was.

    Raises:
        InputError: it names the parameter.
    """
    for name, value in given.items():
        if isinstance(value, str):
            raise InputError(f"`{name}`", expected=f"several, as [{value!r}]", found=repr(value))


def _check(
    config: object, fields: tuple[str, ...], holds: Callable[[float], bool], expected: str
) -> None:
    for field in fields:
        found = getattr(config, field)
        several = isinstance(found, tuple)
        if several and not found:
            raise InputError(f"`{field}`", expected=f"{expected}, once or more", found="nothing")
        if not all(_is_true(holds, value) for value in (found if several else (found,))):
            shown = repr(found) if isinstance(found, str) else found
            raise InputError(f"`{field}`", expected=expected, found=shown)


def _is_true(holds: Callable[[Any], bool], value: object) -> bool:
    """Whether a condition holds for a value; it does not where the two cannot be compared."""
    try:
        return bool(holds(value))
    except TypeError:
        return False


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
