"""Stages of a benchmark on the disk, so that a run which is stopped goes on where it was."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


@dataclasses.dataclass
class Stages:
    """What a benchmark has made, by name, each with the seconds of the processor that it took.

    Args:
        folder: for this benchmark alone; its files are read as they were written, by pickle.
    """

    folder: Path
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Makes the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        """What was made under a name, or is made now; `seconds` counts it either way."""
        path = self.folder / f"{name.replace(' ', '-').replace('/', '-')}.pt"
        if path.is_file():
            made, self.seconds[name] = torch.load(path, weights_only=False)
            return made
        began = time.process_time()
        made = make()
        self.seconds[name] = time.process_time() - began
        whole = path.with_suffix(".part")
        torch.save((made, self.seconds[name]), whole)
        os.replace(whole, path)
        return made


def staged_move(stages: Stages, name: str, move: Any) -> Any:
    """A move whose writing and paired rows are stages; `name` is what they depend on."""
    from transplant.calibration.move import Pairing
    from transplant.workflows.corpus import DONOR

    if move.data == DONOR:
        text = f"writing {name}"
        move.__dict__["writing"] = stages.get(text, lambda: move.writing)

    def pair() -> tuple[Any, ...]:
        found = move.pairing
        return found.fitted, found.held_out, found.excerpts

    rows = stages.get(f"pairs {name}", pair)
    move.__dict__["pairing"] = Pairing(move.donor, move.target, *rows, move.general_part)
    return move
