"""Whole numbers as they are typed: 200k is 200,000, 2M is 2,000,000."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, cast, get_args, get_origin

from transplant.values import without_unit


class WithUnit(int):
    """A whole number that may be typed with its unit; what is read of it is a plain `int`."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """The schema by which Typer reads it, with the bounds of the option behind it."""
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(without_unit, handler(int))


WithUnit.__name__ = "int"  # as `--help` shows it


def as_typed(parameter: inspect.Parameter) -> inspect.Parameter:
    """A parameter of a verb as the command line reads it: an integer may have a unit."""
    hint = parameter.annotation
    kind, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if kind not in (int, int | None):
        return parameter
    typed = WithUnit if kind is int else WithUnit | None
    return parameter.replace(annotation=cast(Any, Annotated)[(typed, *marks)])
