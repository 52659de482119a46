"""What `Work` takes, of the options of models as they were typed."""

from __future__ import annotations

from typing import Any


def parse_models(given: dict[str, Any]) -> dict[str, Any]:
    """What `Work` takes, of the options as they were typed."""
    from transplant.backbones.spread import parse_device_map, parse_memory, parse_revisions

    parse = {
        "revision": parse_revisions,
        "device_map": lambda text: None if text is None else parse_device_map(text),
        "max_memory": parse_memory,
    }
    return {name: parsed(given[name]) for name, parsed in parse.items() if name in given}
