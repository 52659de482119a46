"""The lesson of a student: paired rows, the way between the heads, and what chooses its gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transplant.basis.adapter import Subspace
from transplant.calibration.config import MoveConfig
from transplant.calibration.move import Pairing
from transplant.calibration.output_map import OutputMap
from transplant.calibration.students.recipe import LoraRecipe
from transplant.text.windows import Window
from transplant.training.config import TrainConfig
from transplant.training.row_sources import RowSource


@dataclass(frozen=True)
class Lesson:
    """What every student learns from."""

    pairing: Pairing
    output_map: OutputMap
    calibration: Sequence[Window] | RowSource
    """Of the domain's calibration split: it chooses gains and weights, nothing else."""
    config: MoveConfig
    d_abi: int = TrainConfig.d_abi
    """The width of the space of a new module."""
    lora: LoraRecipe = LoraRecipe()
    """Of the students `lora` and `basis`, which has ranks of its own."""
    inside: Mapping[str, Subspace] | None = None
    """The directions that the student `basis` stays in, by the map of the target."""
