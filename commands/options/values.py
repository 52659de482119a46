"""The values of a verb's options: as manifests record them, and the words among them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commands.options.common import MODEL_OPTIONS
from transplant.files.json_text import shown


def models_asked(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of models that were asked for, as manifests record options."""
    return {
        name: _as_plain(settings[name])
        for name, (_, default) in MODEL_OPTIONS.items()
        if name in settings and settings[name] not in (default, [])
    }


def plain_values(values: dict[str, Any]) -> dict[str, Any]:
    """The values of options by name, as JSON holds them."""
    return {name: _as_plain(value) for name, value in values.items()}


def words_in(value: Any) -> Iterator[str]:
    """Every text among the values of a verb's options and arguments."""
    if isinstance(value, dict | tuple | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from words_in(item)
    elif isinstance(value, str | Path):
        yield str(value)


def _as_plain(value: Any) -> Any:
    """An option's value as JSON holds it."""
    if isinstance(value, tuple | list):
        return [_as_plain(item) for item in value]
    text = str(value) if isinstance(value, Path) else value
    return shown(text) if isinstance(text, str) else text
