"""Results of a paste on the disk, read by other means than its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

MakeCore = Callable[..., Path]


PREFIX = "model.domain_modules."


UP = PREFIX + "python.up.weight"


INDEX = "model.safetensors.index.json"


def load_core(folder: Path) -> dict[str, Tensor]:
    """By safetensors itself, through the index where there is one."""
    if not (folder / INDEX).exists():
        return load_file(folder / "model.safetensors")
    places = json.loads((folder / INDEX).read_text())["weight_map"]
    found: dict[str, Tensor] = {}
    for file in sorted(set(places.values())):
        part = load_file(folder / file)
        assert all(places[name] == file for name in part)
        found |= part
    assert found.keys() == places.keys()
    return found


def raw_bytes(tensor: Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
