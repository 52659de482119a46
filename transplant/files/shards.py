"""The safetensors files of a model's folder: one, or the shards that an index names."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


def weight_files(folder: Path) -> list[Path]:
    """The files that `from_pretrained` takes; none where there is neither.

    Args:
        folder: as `save_pretrained` writes it; other weights may lie beside.
    """
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        named = {*json.loads((folder / INDEX).read_bytes())["weight_map"].values()}
        files = [folder / name for name in named if Path(name).name == name]
        return sorted(file for file in files if file.is_file())
    return sorted(folder.glob("model-*-of-*.safetensors"))
