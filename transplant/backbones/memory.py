"""Memory that a model needs, computed from the headers of its files, against what there is."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from transplant.backbones.arithmetic import choose_dtype, name_of
from transplant.backbones.folder import Header, check_folder
from transplant.backbones.hub_headers import cached_folder, header_of
from transplant.dtypes import AUTO
from transplant.errors import BackboneError
from transplant.memory import available_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}  # bytes of a number
LESS = "`device_map='auto'`, which leaves layers on the disk, or a smaller model"
_STORED = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2}
_FLOATS = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
}  # fmt: skip
CPU = torch.device("cpu")


def available_memory() -> int | None:
    """Bytes that this process can take: of the machine or of its container; None where unknown."""
    found = available_bytes()
    if found is None:
        with suppress(AttributeError, OSError, ValueError):  # all there is, if that is all we know
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return found


def bytes_in_memory(held: Mapping[str, tuple[str, tuple[int, ...]]], dtype: str) -> int:
    """The bytes of weights once they are loaded.

    Args:
        held: dtype and shape of each tensor, as headers have them.
        dtype: what the numbers are cast to; `auto` for as they are stored.
    """
    total = 0
    for stored, shape in held.values():
        width = _STORED.get(stored, 1)
        if stored in _FLOATS and dtype in WIDTHS:
            width = WIDTHS[dtype]
        total += math.prod(shape) * width
    return total


def copy_bytes(model: nn.Module) -> int:
    """The bytes of main memory that a copy of a model takes; what is tied is there once."""
    held = (*model.parameters(), *model.buffers())
    return sum(t.numel() * t.element_size() for t in held if t.device.type == "cpu")


def check_folder_fits(folder: Path, name: str, dtype: str, device: torch.device = CPU) -> None:
    """Refuses a folder whose weights, as they are stored or as they are cast, exceed memory.

    What is stored quantised is never cast, and counts as it is stored.

    Args:
        folder: of safetensors; what is wrong with it is left to whoever loads it.
        name: what the model is called.
        dtype: of the arithmetic; `auto` for what `device` takes of what is stored.
        device: where the model runs.

    Raises:
        BackboneError: naming the sizes.
    """
    try:
        held = check_folder(folder)
    except BackboneError:
        return
    _check_held(held, f"in {folder}", name, dtype, None if _is_packed(folder) else device)


def check_hub_fits(
    hub_id: str, revision: str | None, name: str, dtype: str, device: torch.device = CPU,
    *, offline: bool,
) -> None:  # fmt: skip
    """Refuses a model of a hub whose weights exceed memory, before they are downloaded.

    Args:
        hub_id: the model; where neither the hub nor the cache tells what it holds, it passes.
        revision: a branch, a tag or a commit; None for `main`.
        name: what the model is called.
        dtype: of the arithmetic; `auto` for what `device` takes of what is stored.
        device: where the model runs.
        offline: whether the hub is out of reach, so that only the cache of downloads can tell.

    Raises:
        BackboneError: naming the sizes.
    """
    held = None if offline else header_of(hub_id, revision)
    if held is not None:
        _check_held(held, "on the hub", name, dtype, device)
    elif folder := cached_folder(hub_id, revision):
        check_folder_fits(folder, name, dtype, device)


def _check_held(
    held: Header, where: str, name: str, dtype: str, device: torch.device | None
) -> None:
    """Refuses weights of such headers; without a device they are not cast."""
    kind = _kind_of(held)
    chosen = dtype if device is not None else AUTO
    if chosen == AUTO and device is not None and kind in _FLOATS:
        chosen = name_of(choose_dtype(AUTO, _FLOATS[kind], device))
    stored, loaded = bytes_in_memory(held, AUTO), bytes_in_memory(held, chosen)
    cast = "as it is stored" if stored >= loaded else f"in {chosen}"
    asked = stored < loaded and dtype != AUTO
    check_memory(
        max(stored, loaded), f"{name} {cast} ({kind} {where})",
        f"`dtype='auto'`; {LESS}" if asked else LESS,
    )  # fmt: skip


def _kind_of(held: Header) -> str:
    """The type of most of the numbers."""
    counts: Counter[str] = Counter()
    for kind, shape in held.values():
        counts[kind] += math.prod(shape)
    return counts.most_common(1)[0][0]


def _is_packed(folder: Path) -> bool:
    """Whether the configuration says that weights are quantised; what is wrong shows later."""
    with suppress(OSError, ValueError, RecursionError):
        config = json.loads((folder / "config.json").read_bytes())
        return isinstance(config, dict) and config.get("quantization_config") is not None
    return False


def check_memory(needed: int, what: str, hint: str) -> None:
    """Refuses a model whose weights are larger than the memory that is left.

    Args:
        needed: bytes.
        what: whose they are, and in which dtype.
        hint: what to try.

    Raises:
        BackboneError: naming both sizes.
    """
    available = available_memory()
    if available is not None and needed > available:
        raise BackboneError(
            f"{what} does not fit into memory",
            expected=f"at most {_gib(available)}, which is free",
            found=f"weights of {_gib(needed)}", hint=hint,
        )  # fmt: skip


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**28 else f"{size / 2**20:,.1f} MiB"
