"""Readers of what is typed of models: a device map, what a device may hold, revisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from transplant.errors import InputError, foreign
from transplant.files import strict_json


def parse_models(given: Mapping[str, Any]) -> dict[str, Any]:
    """What `Work` takes of `revision`, `device_map` and `max_memory`, of what was given as text.

    Raises:
        InputError: one cannot be read.
    """
    parse: dict[str, Callable[[Any], Any]] = {
        "revision": parse_revisions,
        "device_map": lambda text: None if text is None else parse_device_map(text),
        "max_memory": parse_memory,
    }
    return {name: parsed(given[name]) for name, parsed in parse.items() if name in given}


def parse_device_map(text: str) -> str | dict[str, Any]:
    """A map as it is typed: one of the words that `Spread` knows, or JSON.

    Raises:
        InputError: neither.
    """
    if not text.lstrip().startswith("{"):
        return text
    with foreign("`device_map`", InputError, expected='JSON, as {"model": "cpu"}'):
        return dict(strict_json.parse(text))


def parse_memory(given: list[str] | None) -> dict[str | int, str] | None:
    """Turns texts as `cpu=8GiB` into what each device may hold."""
    found: dict[str | int, str] = {}
    for text in given or ():
        device, named, amount = text.partition("=")
        if not (named and device and amount):
            raise InputError("`max_memory`", expected="DEVICE=AMOUNT, as cpu=8GiB", found=text)
        place = int(device) if device.isdecimal() else device
        if place in found:
            raise InputError("`max_memory`", expected="each device once", found=text)
        found[place] = amount
    return found or None


def parse_revisions(given: list[str] | None) -> dict[str, str]:
    """Turns texts as `ID=REVISION` into revisions by hub id; under the empty one for any other."""
    revisions: dict[str, str] = {}
    for text in given or ():
        name, named, revision = text.rpartition("=")
        if not revision or (named and not name) or name in revisions:
            raise InputError(
                "`revision`", expected="REVISION, or ID=REVISION once for each", found=text
            )
        revisions[name] = revision
    return revisions
