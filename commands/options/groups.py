"""The options of a verb as Typer reads them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, cast

import typer

from transplant.options import Option, options_of

FLAGS = {
    "learning_rate": ("--learning-rate", "--lr"),
    "opening": ("--open",),
    "source": ("--from",),
}
"""Flags of parameters that are not called as they are, unless the option says otherwise."""


@cache
def parameters_of(verb: Callable[..., None]) -> tuple[inspect.Parameter, ...]:
    """What Typer should see of a verb: its parameters but the session, groups field by field."""
    return tuple(map(_parameter, options_of(verb)))


def _parameter(option: Option) -> inspect.Parameter:
    """An option with a flag, where nothing says that it is an argument."""
    name, field = option.name, option.field
    said: dict[str, Any] = {
        "min": option.bounds.low, "max": option.bounds.high,
        "metavar": field.metavar, "help": field.help,
    }  # fmt: skip
    flags = field.spelled.split() or FLAGS.get(name, (f"--{name.replace('_', '-')}",))
    info = typer.Argument(**said) if field.argument else typer.Option(*flags, **said)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=option.default,
        annotation=cast(Any, Annotated)[option.kind, info],
    )  # fmt: skip
