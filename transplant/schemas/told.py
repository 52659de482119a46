"""Dataclasses of the library as parts of reports: each field is a key, and there are no others."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, create_model

from transplant.descriptions import descriptions_in
from transplant.schemas.base import Part

Told = TypeVar("Told")


class _Described(Part):
    """A part whose fields are described where they are made: pydantic looks for no source of it."""

    model_config = ConfigDict(use_attribute_docstrings=False)


class _Told:
    """Has pydantic take a dataclass for the part of its fields."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """The schema of `part_of`."""
        return handler.generate_schema(part_of(source))


Whole = Annotated[Told, _Told()]
"""A dataclass as `asdict` gives it: a field with a default is a key like all others."""


@functools.cache
def part_of(told: type) -> type[Part]:
    """A part of the fields of a dataclass, those inside of it, too; descriptions are its own."""
    hints, said = get_type_hints(told), {}
    for base in reversed(inspect.getmro(told)[:-1]):
        said |= descriptions_in(base.__module__, base.__name__)
    fields: dict[str, Any] = {
        field.name: (_as_parts(hints[field.name]), Field(description=said.get(field.name)))
        for field in dataclasses.fields(told)
    }
    made = create_model(told.__name__, __base__=_Described, __module__=told.__module__, **fields)
    made.__doc__ = (inspect.getdoc(told) or "").partition("\n\n")[0]
    return made


def _as_parts(hint: Any) -> Any:
    """A type with parts in place of dataclasses."""
    if dataclasses.is_dataclass(hint):
        return part_of(hint)  # pyright: ignore[reportArgumentType]
    origin, inner = get_origin(hint), tuple(map(_as_parts, get_args(hint)))
    if origin is None or origin is Literal:
        return hint
    return Union[inner] if origin in (Union, types.UnionType) else origin[inner]  # noqa: UP007
