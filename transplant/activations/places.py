"""Where in the bytes of a file the rows of a tap are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from transplant.activations.objects import dataset
from transplant.errors import InputError


@dataclass(frozen=True)
class Place:
    """Where the rows of one tap are in the file, and their checksums."""

    offsets: list[int]
    """The byte at which each chunk begins."""
    chunk_rows: int
    width: int
    dtype: np.dtype
    sums: int | None
    """The byte at which the checksums of its rows begin; None in a file without."""


def find_place(file: h5py.File, name: str, *, checked: bool) -> Place:
    """Where the rows of a tap go, and their checksums.

    Args:
        file: as `build` made it.
        name: the tap.
        checked: whether the file has checksums.

    Raises:
        InputError: chunks that are missing, overlap, or end past the file.
    """
    tap = dataset(file, f"taps/{name}")
    if tap.chunks is None or tap.chunks[1] != tap.shape[1]:
        raise InputError(f"{tap.name} is in no chunks of whole rows")
    step = tap.chunks[0]
    offsets = np.zeros(-(-len(tap) // step), np.int64)

    def note(chunk: Any) -> None:
        offsets[chunk.chunk_offset[0] // step] = chunk.byte_offset

    tap.id.chunk_iter(note)  # one walk; asking for each chunk would walk for each
    size, end = step * tap.shape[1] * tap.dtype.itemsize, file.id.get_filesize()
    edges = np.sort(offsets)
    if len(edges) and (edges[0] <= 0 or edges[-1] + size > end or np.any(np.diff(edges) < size)):
        raise InputError(f"{tap.name} lacks chunks, or they overlap")
    sums = dataset(file, f"sums/{name}").id.get_offset() if checked and len(tap) else None
    return Place(offsets.tolist(), step, tap.shape[1], tap.dtype, sums)
