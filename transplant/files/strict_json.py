"""JSON as this package writes it: nothing that another reader would take otherwise.

Refused are keys that appear twice, NaN and infinities (also as 1e999), integers beyond 64 bits,
nesting deeper than DEPTH, and halves of surrogate pairs, which no terminal and no UTF-8 can hold.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

DEPTH = 64
_BITS = 64


def parse(text: str) -> Any:
    """What JSON text says.

    Raises:
        ValueError: no JSON, or such as is not written here; its message says what.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except RecursionError as error:
        raise ValueError(f"nesting deeper than {DEPTH}") from error
    if r"\ud" in text or r"\uD" in text:
        _check_text(value)
    _check_depth(value)
    return value


def parse_object(data: bytes) -> dict[str, Any]:
    """The object that JSON in UTF-8 says.

    Raises:
        ValueError: as `parse`; or no UTF-8, or no object.
    """
    value = parse(data.decode())
    if not isinstance(value, dict):
        raise ValueError(f"{type(value).__name__} in place of an object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:80]!r} appears twice")
    return found


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is beyond double precision")
    return value


def _int(text: str) -> int:
    if len(text) > 21 or (value := int(text)).bit_length() > _BITS:
        raise ValueError(f"the number {text[:40]} is beyond {_BITS} bits")
    return value


def _check_depth(value: Any) -> None:
    level = [value] if type(value) in (dict, list) else []
    for _ in range(DEPTH + 1):
        if not level:
            return
        level = [
            item
            for outer in level
            for item in (outer.values() if type(outer) is dict else outer)
            if type(item) in (dict, list)
        ]
    raise ValueError(f"nesting deeper than {DEPTH}")


def _check_text(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("half of a surrogate pair in a string") from error
    except RecursionError as error:
        raise ValueError(f"nesting deeper than {DEPTH}") from error
