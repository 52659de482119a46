"""From parsed JSON to frozen dataclasses, refusing whatever their annotations do not say."""

from __future__ import annotations

import dataclasses
import types
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from transplant.errors import CorruptError

LATER = {"later": True}
"""The metadata of a field that older manifests do not have: its default stands for it."""
_JSON_NAMES = {str: "a string", int: "an integer", float: "a number", dict: "an object"}


def decode(hint: Any, value: Any, where: str) -> Any:
    """Build what the annotation `hint` describes from `value`.

    Args:
        hint: a dataclass, `str`, `int`, `float`, `Any`, `X | None`, `tuple[X, ...]` or
            `dict[str, X]`.
        value: what `json.loads` returned.
        where: the file and the field, for the message.

    Raises:
        CorruptError: a missing or unknown field, or a value of another type.
    """
    args = get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return _decode_object(hint, value, where)
    origin = get_origin(hint)
    if origin is types.UnionType:
        return None if value is None else decode(args[0], value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(where, "a list", value)
        return tuple(decode(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        if all(type(item) is args[1] for item in value.values()):  # the counts of a vocabulary
            return dict(value)
        return {key: decode(args[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:  # not isinstance: True is no integer here
        raise _wrong(where, _JSON_NAMES.get(hint, str(hint)), value)
    return value


def _decode_object(cls: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    hints, later = _fields(cls)
    for missing in sorted(hints.keys() - value.keys() - later):
        raise CorruptError(f"{where}.{missing}", expected="the field", found="nothing")
    for unknown in sorted(value.keys() - hints.keys()):
        raise CorruptError(f"{where}.{unknown}", expected="no such field", found="one")
    return cls(
        **{key: decode(hints[key], value[key], f"{where}.{key}") for key in hints if key in value}
    )


@cache
def _fields(cls: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """What the fields of a dataclass hold, and which of them older manifests do not have."""
    later = {field.name for field in dataclasses.fields(cls) if "later" in field.metadata}
    return get_type_hints(cls), frozenset(later)


def _wrong(where: str, expected: str, value: Any) -> CorruptError:
    return CorruptError(where, expected=expected, found=repr(value)[:80])
