"""Keys of results as earlier versions wrote them, under the names that they have now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

Json = TypeVar("Json")

RENAMED: dict[str, tuple[str, type]] = {
    "intervals": ("interval", dict), "voice": ("donor_mix", dict), "heard": ("added", str),
    "splits": ("split", dict), "passed": ("pass", bool),
}  # fmt: skip
"""The present key of each, and of which type the value is: a vocabulary may have all these words,
and a count is called `passed`, too."""
BOUNDED = ("nats", "mean", "value", "share", "ppl")
"""Numbers whose bounds once stood beside them as `low` and `high`."""
_APART = "_interval"  # `accuracy_interval` is now `interval.accuracy`


def with_present_keys(data: Json) -> Json:
    """A result of any version, with the keys of the present one; other JSON as it is.

    Args:
        data: what a file or a manifest holds; it is not changed.
    """
    if isinstance(data, Mapping):
        found = {key: with_present_keys(value) for key, value in data.items()}
        return _bounds_inside(_renamed(found))  # pyright: ignore[reportReturnType]
    if isinstance(data, list):
        return [with_present_keys(value) for value in data]  # pyright: ignore[reportReturnType]
    return data


def _renamed(found: dict[str, Any]) -> dict[str, Any]:
    names = {
        former: present for former, (present, kind) in RENAMED.items()
        if isinstance(found.get(former), kind) and present not in found
    }  # fmt: skip
    return {names.get(key, key): value for key, value in found.items()}


def _bounds_inside(found: dict[str, Any]) -> dict[str, Any]:
    """The same with bounds that stood beside their number under `interval`."""
    if {"low", "high"} <= found.keys() and any(key in found for key in BOUNDED):
        low, high = found.pop("low"), found.pop("high")
        found["interval"] = None if low is None or high is None else [low, high]
    apart = {key: key.removesuffix(_APART) for key in found if key.endswith(_APART)}
    apart = {key: of for key, of in apart.items() if of in found}
    if apart and isinstance(found.get("interval", {}), dict):
        found["interval"] = found.get("interval", {}) | {apart[key]: found[key] for key in apart}
        for key in apart:
            del found[key]
    return found
