"""Results as strict JSON: no NaN, no numbers as text, nothing that is no UTF-8."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def to_json(data: Any, indent: int) -> str:
    """The text of a result.

    NaN and infinities, which JSON does not have, become null; numbers and arrays of NumPy and torch
    become numbers and lists; what is left of other types becomes text.
    """
    return json.dumps(_plain(data), indent=indent, allow_nan=False)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range | set | frozenset):
        return [_plain(item) for item in value]
    if callable(to_list := getattr(value, "tolist", None)):  # of NumPy and torch
        return _plain(to_list())
    return _plain(str(value))


def shown(text: str) -> str:
    """Text with what UTF-8 cannot hold as it is shown: bytes of a path, halves of a pair."""
    try:
        return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
