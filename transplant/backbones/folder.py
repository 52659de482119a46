"""A model's folder, checked before anything is built from it: files, sizes and names of shards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transplant.errors import BackboneError, CorruptError, StorageError, foreign
from transplant.files.header import read_header
from transplant.files.shards import INDEX, SINGLE

LAYER_COUNTS = (
    "num_hidden_layers", "num_layers", "n_layer", "n_layers", "num_decoder_layers",
    "encoder_layers", "decoder_layers",
)  # fmt: skip
EXPERT_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
MOST_LAYERS = 10_000  # of a hub id, whose files are not here yet; and no model has more
LARGEST_SIZE = 2**31 - 1
DEEPEST = 32  # levels of nesting in a configuration
AGAIN = "save it again with save_pretrained, or copy the folder again"

Header = dict[str, tuple[str, tuple[int, ...]]]
"""Dtype and shape of each tensor, by name."""


def check_folder(folder: Path) -> Header:
    """The tensors that a folder holds, after its files were found whole.

    Only headers are read.

    Raises:
        BackboneError: no config.json, no weights in safetensors, an index of shards that are not in
            the folder, or a file that is cut off or is no safetensors.
    """
    for pattern, what in (("config.json", "config.json"), ("*.safetensors", "weights")):
        if not any(path.is_file() for path in folder.glob(pattern)):
            pickled = " (pickled weights are never loaded)" if any(folder.glob("*.bin")) else ""
            raise BackboneError(
                f"backbone folder {folder} has no {what}{pickled}",
                expected=f"{what} as save_pretrained writes it ({pattern})",
            )
    single = folder / SINGLE
    held: Header = {}
    for file in [single] if single.is_file() else _shards(folder):
        held |= _read_header(file)
    if not held:
        raise BackboneError(f"the weights of {folder} are empty", expected="tensors", hint=AGAIN)
    return held


def _read_header(file: Path) -> Header:
    """Dtype and shape of every tensor of a safetensors file; its data is not read."""
    try:
        header = read_header(file, hint=AGAIN)
    except (CorruptError, StorageError) as error:
        raise BackboneError(
            f"cannot load {file}: cut off or damaged", expected=error.expected,
            found=error.found or error, hint=AGAIN,
        ) from error  # fmt: skip
    return {name: (span.dtype, span.shape) for name, span in header.tensors.items()}


def _shards(folder: Path) -> list[Path]:
    """The files that an index names: each beside it, none elsewhere."""
    index = folder / INDEX
    if not index.is_file():
        raise BackboneError(
            f"backbone folder {folder} has no model.safetensors",
            expected=f"it, or {INDEX} and its shards", found=", ".join(_listed(folder)),
        )  # fmt: skip
    with foreign(f"cannot load {index}", BackboneError, expected="JSON with a weight_map"):
        named = sorted({*json.loads(index.read_bytes())["weight_map"].values()})
        for name in named:
            if Path(name).name != name:
                raise BackboneError(
                    f"{index} points outside its folder",
                    expected="the names of files beside it", found=repr(name)[:120],
                )  # fmt: skip
            if not (folder / name).is_file():
                raise BackboneError(f"{index} names a shard that is not there", expected=name,
                                    found=", ".join(_listed(folder)), hint=AGAIN)  # fmt: skip
        return [folder / name for name in named]


def _listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.safetensors"))[:4] or ["no safetensors"]


def check_sizes(config: Mapping[str, Any], source: str, held: Header | None) -> None:
    """Refuses a configuration that no model of this file can have, before a layer is built.

    Args:
        config: config.json as it is.
        source: the folder or hub id, for the message.
        held: the tensors of the folder; None where they are not here yet.

    Raises:
        BackboneError: more layers than tensors, or a size beyond any machine.
    """
    most = MOST_LAYERS if held is None else min(MOST_LAYERS, len(held))
    for name, value in _numbers(config, source):
        layers = name in LAYER_COUNTS
        limit = most if layers else MOST_LAYERS if name in EXPERT_COUNTS else LARGEST_SIZE
        if abs(value) > limit:
            holds = f", for the weights hold {len(held)} tensors" if layers and held else ""
            raise BackboneError(
                f"config.json of {source}: {name} cannot be", expected=f"at most {limit:,}{holds}",
                found=f"{value:,}" if abs(value) < 10**30 else "a number of over 30 digits",
                hint=AGAIN,
            )  # fmt: skip


def _numbers(value: Any, source: str, name: str = "", depth: int = 0) -> Iterator[tuple[str, int]]:
    if depth > DEEPEST:
        raise BackboneError(
            f"config.json of {source} is nested too deeply", expected=f"at most {DEEPEST} levels"
        )
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, source, str(key), depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, source, "", depth + 1)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield name, value
