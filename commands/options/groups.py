"""Options that verbs share as a group: a frozen dataclass whose fields are written once.

A verb that takes one parameter of such a class gets an option for each of its fields.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any


def parameters_of(verb: Callable[..., None]) -> list[inspect.Parameter]:
    """What Typer should see of a verb: its parameters but the session, groups field by field."""
    hints = typing.get_type_hints(verb, include_extras=True)
    found: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(verb).parameters.items():
        if name == "session":
            continue
        if dataclasses.is_dataclass(hints[name]):
            found.extend(_fields(hints[name]))
        else:
            kind = inspect.Parameter.KEYWORD_ONLY
            found.append(parameter.replace(annotation=hints[name], kind=kind))
    return found


def grouped(verb: Callable[..., None], values: dict[str, Any]) -> dict[str, Any]:
    """What the verb takes, of the values of all its options."""
    hints = typing.get_type_hints(verb)
    taken = dict(values)
    for name in inspect.signature(verb).parameters:
        if name != "session" and dataclasses.is_dataclass(hints[name]):
            fields = [field.name for field in dataclasses.fields(hints[name])]
            taken[name] = typing.cast(Any, hints[name])(**{own: taken.pop(own) for own in fields})
    return taken


def _fields(group: Any) -> Iterator[inspect.Parameter]:
    hints = typing.get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default,
            annotation=hints[field.name],
        )  # fmt: skip
