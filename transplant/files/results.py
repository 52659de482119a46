"""Results written to files: JSON, and the files of one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transplant.errors import StorageError
from transplant.files.json_text import to_json
from transplant.files.whole_file import whole_file
from transplant.files.writable import check_writable

SCHEMA_VERSION = 2
"""Of results: it grows where a key changes its meaning or is gone, not where one is new."""


def versioned(data: Any) -> Any:
    """A result with its `schema_version`; what is no object has none."""
    return {"schema_version": SCHEMA_VERSION, **data} if isinstance(data, Mapping) else data


def json_bytes(data: Any, indent: int = 1) -> bytes:
    """A result as the bytes of a JSON file, with its `schema_version`."""
    return (to_json(versioned(data), indent) + "\n").encode()


def write_json(path: Path, data: Any) -> None:
    """Writes a result to a file, whole or not at all.

    Raises:
        StorageError: the disk refused.
        InputError: something else has that name.
    """
    write_file(path, json_bytes(data))


def write_file(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all.

    Raises:
        StorageError: the disk refused.
        InputError: something else has that name.
    """
    check_writable(path)
    try:
        with whole_file(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise StorageError(f"cannot write {path}", found=error.strerror) from error


def write_files(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Writes files into a folder, each whole or not at all, and returns their paths.

    Args:
        folder: where they go; it is made where it is missing.
        files: the bytes of each, by its name.

    Raises:
        StorageError: the disk refused.
        InputError: something else has one of the names; none is written then.
    """
    for name in files:
        check_writable(folder / name)
    for name, content in files.items():
        write_file(folder / name, content)
    return [str(folder / name) for name in files]
