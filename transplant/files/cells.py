"""Cells of a long run: what each of its parts has measured, a file each, so that it goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transplant.errors import CorruptError, InputError, foreign
from transplant.files import strict_json
from transplant.files.whole_file import whole_file


@dataclass(frozen=True)
class Cells:
    """The folder of the cells of one run.

    Args:
        folder: that holds them, a file each.
        run: what must be equal for a cell to be of this run.
    """

    folder: Path
    run: Mapping[str, Any]

    def read(self, name: str) -> dict[str, Any] | None:
        """A cell that is there; None where it is still to be run.

        Raises:
            InputError: it is of another run.
            CorruptError: it is no cell.
        """
        file = self.folder / f"{name}.json"
        if not file.is_file():
            return None
        with foreign(
            f"{file} is no cell of this run", CorruptError,
            hint="remove it, and the cell is run again",
        ):  # fmt: skip
            stored = dict(strict_json.parse(file.read_text("utf-8")))
            run = stored["run"]
        if run != json.loads(json.dumps(self.run)):
            raise InputError(
                f"{file} is a cell of another run", expected="the same text and recipe",
                hint="another `out`",
            )  # fmt: skip
        return stored

    def write(self, name: str, cell: Mapping[str, Any]) -> dict[str, Any]:
        """Keeps a cell, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self.folder / f"{name}.json") as partial:
            partial.write_text(json.dumps({"run": self.run, **cell}) + "\n", "utf-8")
        return dict(cell)
