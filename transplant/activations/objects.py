"""Attributes and datasets of an HDF5 file that lie in the file itself, and nothing else.

HDF5 follows links to other names and other files, reads bytes out of files that a dataset lists,
runs filters that it finds on the machine, and makes up what was never stored. Nothing of that is
in a file of activations; virtual datasets are in those that were joined from parts.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5l, h5o  # pyright: ignore[reportAttributeAccessIssue]  compiled

from transplant.errors import InputError, ShapeError


def dataset(file: h5py.File, name: str, *, virtual: bool = False) -> h5py.Dataset:
    """One dataset of numbers or of fixed text.

    Args:
        file: the open file.
        name: its path.
        virtual: whether it has to be a virtual one; otherwise it must not.

    Raises:
        InputError: there is none, or a link, external storage, filters, or no stored content.
    """
    *groups, last = name.split("/")
    at: Any = file
    for n, part in enumerate(groups):
        at = _hard(at, part, name)
        if not isinstance(at, h5py.Group):
            raise InputError(f"{'/'.join(groups[: n + 1])} is no group")
    found = _hard(at, last, name)
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"no dataset {name}")
    if not found.shape or found.dtype.hasobject or found.dtype.kind not in "iufS":
        raise InputError(f"{name} is of another type", found=f"{found.dtype} {found.shape}")
    _check_storage(found, name, virtual=virtual)
    return found


def attribute(file: h5py.File, name: str) -> Any:
    """One attribute of the root: an integer, or bytes; None where there is none.

    Raises:
        InputError: it is anything else. Text of variable length is not even read: HDF5 may hang
            on a damaged file that holds some.
    """
    if name not in file.attrs:
        return None
    held = file.attrs.get_id(name)
    if held.shape != () or held.dtype.hasobject or held.dtype.kind not in "iS":
        raise InputError(f"attribute {name}", expected="one integer or text", found=held.dtype)
    value: Any = file.attrs[name]
    return bytes(value) if held.dtype.kind == "S" else int(value)


def check_distinct(taps: dict[str, h5py.Dataset]) -> None:
    """Refuse two taps that are one dataset.

    Raises:
        InputError: names both.
    """
    owner: dict[Any, str] = {}
    for name, held in taps.items():
        address = h5o.get_info(held.id).addr
        if owner.setdefault(address, name) != name:
            raise InputError(f"taps/{name} is the same dataset as taps/{owner[address]}")


def _hard(group: h5py.Group, part: str, name: str) -> Any:
    """What a name of a group stands for, where it is no link to another."""
    raw = part.encode(errors="surrogateescape")
    if not group.id.links.exists(raw):
        raise InputError(f"no dataset {name}")
    if group.id.links.get_info(raw).type != h5l.TYPE_HARD:
        raise InputError(f"{name} is a link to another name or file")
    return group[part]


def _check_storage(found: h5py.Dataset, name: str, *, virtual: bool) -> None:
    made = found.id.get_create_plist()
    if found.is_virtual != virtual:
        raise InputError(f"{name} is {'not ' * virtual}a view of other datasets")
    if made.get_external_count():
        raise InputError(f"{name} lies in other files")
    if made.get_nfilters():
        raise InputError(f"{name} is filtered", expected="stored as it is")
    if virtual:
        return
    needed = int(np.prod(found.shape, dtype=object)) * found.dtype.itemsize
    held = found.id.get_storage_size()
    if made.get_layout() not in (h5d.CONTIGUOUS, h5d.CHUNKED, h5d.COMPACT) or held < needed:
        raise ShapeError(f"{name} has no content", expected=f"{needed} bytes", found=held)
    if held > found.file.id.get_filesize():
        raise ShapeError(f"{name} is larger than the file", found=f"{held} bytes")
