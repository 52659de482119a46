"""A report as JSON, and a picture of it beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from commands.output import write_json
from transplant.errors import StorageError
from transplant.files.whole_file import whole_file


def write_with_picture(
    folder: Path, name: str, report: dict[str, Any], draw: Callable[[Path, dict[str, Any]], None]
) -> list[str]:
    """Writes `<name>.json` and `<name>.png` into a folder and returns their paths.

    Args:
        folder: where they go.
        name: of both files.
        report: what is written, and drawn.
        draw: draws it into a file.

    Raises:
        StorageError: the disk refused.
    """
    data, picture = folder / f"{name}.json", folder / f"{name}.png"
    write_json(data, report)
    try:
        with whole_file(picture) as partial:
            draw(partial, report)
    except OSError as error:
        raise StorageError(f"cannot write {picture}", found=error.strerror) from error
    return [str(data), str(picture)]
