"""Words of a report: numbers as text, and calls as they are typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from transplant.tables.shares import bounds_in, bounds_text

NOT_MEASURED = "not measured"


def _as_call(verb: str, options: Mapping[str, Any]) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in options.items() if value is not None)
    return f"{verb}({given})"


@dataclass(frozen=True, kw_only=True)
class Wording:
    """How a reader types what a run did; by default as calls of Python."""

    text: Callable[[str], str] = str
    """Text that names calls in backquotes, as it is shown."""
    command: Callable[[str, Mapping[str, Any]], str] = _as_call
    """A verb and its options, as they are typed."""


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value of a result is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: object, form: str = ".3f") -> str:
    """A number of a result as text; that it was not measured where there is none."""
    return format(value, form) if is_number(value) else NOT_MEASURED


def within(value: object, interval: Any, form: str = ".3f") -> str:
    """A number and its 95 % interval, or that no interval is on record."""
    if not is_number(value):
        return NOT_MEASURED
    found = bounds_in(interval)
    if found is None:
        return f"{number(value, form)} (no interval is on record)"
    return f"{number(value, form)} (95 %: {bounds_text(found, form)})"


def at(data: Any, *path: str) -> Any:
    """What lies in nested objects; None where something is missing on the way."""
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def plain(name: object) -> str:
    """A name of the results as words."""
    return str(name).replace("_", " ")
