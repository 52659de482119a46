"""Values of options: parsers of what is given as text, and values as manifests record them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, cast

from transplant.errors import InputError
from transplant.files.json_text import shown
from transplant.options import Field

_UNITS = {"": 1, "k": 1000, "m": 1_000_000}
_TOO_MANY = 1 << 63
_MARKED = re.compile(r".*[km]|\d{1,3}(,\d{3})+", re.IGNORECASE)


def parse_count(name: str, text: str, *, least: int = 1) -> int:
    """A number as it is written: 200k is 200,000, 2M is 2,000,000.

    Args:
        name: of the parameter, for the message.
        text: what was given.
        least: that it may be.

    Raises:
        InputError: it is no number, below `least`, or more than 64 bits hold.
    """
    found = re.fullmatch(r"(\d[\d_,]*(?:\.\d+)?)([km]?)", text.strip().lower())
    if found:
        number = round(Decimal(re.sub("[_,]", "", found[1])) * _UNITS[found[2]])
        if least <= number < _TOO_MANY:
            return number
    raise InputError(f"`{name}`", expected="a number as 50000, 200k or 2M", found=text)


def without_unit(given: Any) -> Any:
    """The number of a text with a unit, or with commas between thousands; anything else as it is.

    What it leaves as it is, is for others to refuse.
    """
    if isinstance(given, str) and _MARKED.fullmatch(given):
        with suppress(InputError):
            return parse_count("", given)
    return given


def parse_named(name: str, given: list[str] | None) -> dict[str, str]:
    """Paths by name, of texts as NAME=PATH.

    Args:
        name: of the parameter, for the message.
        given: the texts.

    Raises:
        InputError: one is no NAME=PATH, or a name comes twice.
    """
    sources: dict[str, str] = {}
    for text in given or ():
        own, _, source = text.partition("=")
        if not own or not source or own in sources:
            raise InputError(f"`{name}`", expected="NAME=PATH once for each name", found=text)
        sources[own] = source
    return sources


def named_paths(name: str, *, of: str = "", spelled: str = "", said: str | None = None) -> Field:
    """An option that is given as NAME=PATH, again and again.

    Args:
        name: of the parameter.
        of: the field; none where it has the option's name.
        spelled: how it is written, where its name does not say so.
        said: what is said of it, where the library does not say it.
    """
    parse = partial(parse_named, name)
    return Field(
        of=of, spelled=spelled, metavar="NAME=PATH", help=said, parse=parse, several=True
    )  # fmt: skip


def parse_names(text: str) -> tuple[str, ...]:
    r"""The names between commas; a comma within a name, as of a folder, is written `\,`."""
    parts = (part.replace("\\,", ",").strip() for part in re.split(r"(?<!\\),", text))
    return tuple(name for name in parts if name)


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of options by name, as JSON holds them."""
    return {name: _as_plain(value) for name, value in values.items()}


def words_in(value: Any) -> Iterator[str]:
    """Every text among the values of options."""
    if isinstance(value, dict | tuple | list):
        several = cast("dict[str, Any] | tuple[Any, ...] | list[Any]", value)
        for item in several.values() if isinstance(several, dict) else several:
            yield from words_in(item)
    elif isinstance(value, str | Path):
        yield str(value)


def _as_plain(value: Any) -> Any:
    """An option's value as JSON holds it."""
    if isinstance(value, tuple | list):
        return [_as_plain(item) for item in cast("list[Any]", value)]
    text = str(value) if isinstance(value, Path) else value
    return shown(text) if isinstance(text, str) else text
