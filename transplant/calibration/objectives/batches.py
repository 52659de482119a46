"""Batches of a calibration: rows of the target, and the teacher's correction at each of them.

The backbones have read the text once before the first step; a step runs the interface, the frozen
module and the head.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from transplant.alignment.logits import LikelyChange
from transplant.backbones.states import States
from transplant.backbones.view import Backbone
from transplant.modules.correction import Correction
from transplant.training.row_sources import RowSource

UNITS_AT_ONCE = 4  # where all batches are gone through


@dataclass(frozen=True)
class Batch:
    """Some rows of the target."""

    target: Backbone
    states: States
    teacher_correction: Tensor | None = None
    """The teacher's own correction at these rows [rows, d_teacher]; None without a teacher."""
    teach: Callable[[Tensor, Tensor], Tensor] | None = None
    """From the raw last hidden state [rows, d_model] and `teacher_correction` to its logits."""
    head_type: torch.dtype = torch.float32
    """In which heads are multiplied where there is a gradient."""
    wanted_change: LikelyChange | None = None
    """The change of the logits that a teacher wants, on the likely tokens of each row."""

    def __len__(self) -> int:
        return len(self.states)

    @property
    def terms(self) -> int:
        """How many terms a loss is the mean of: the rows."""
        return len(self)

    def hidden(self, change: Tensor) -> Tensor:
        """The last hidden state [rows, d_model] with a correction added."""
        return self.states.h_last + change

    @property
    def wanted(self) -> Tensor:
        """The teacher's correction [rows, d_model], of a teacher that is on the target itself."""
        assert self.teacher_correction is not None  # `run.material_for` has seen to it
        return self.teacher_correction

    def teacher_logits(self, rows: slice) -> Tensor:
        """The teacher's logits [block, vocab] for a block of the rows."""
        assert self.teach is not None
        return self.teach(self.states.h_last[rows], self.wanted[rows]).float()


class Batches(Protocol):
    """Batches by number; a unit is a window, or a block of paired rows."""

    def __len__(self) -> int:
        """The number of units."""
        ...

    def batch(self, units: Sequence[int]) -> Batch:
        """The rows of these units."""
        ...


class TextBatches:
    """Windows of text that the target has read, with an oracle's correction where there is one.

    Args:
        target: the frozen backbone.
        source: its rows, with the taps of whatever learns and of the oracle.
        oracle: a correction on the target.
    """

    def __init__(
        self, target: Backbone, source: RowSource, oracle: Correction | None = None
    ) -> None:
        self.target, self.source = target, source
        self.oracle = None if oracle is None else oracle.to(target.device).eval()

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.source)

    @torch.no_grad()
    def batch(self, units: Sequence[int]) -> Batch:
        """The labelled rows of these windows."""
        states = self.source.rows(units)
        if self.oracle is None:
            return Batch(self.target, states)
        teacher_correction = self.oracle(states.taps, states.windows)
        return Batch(self.target, states, teacher_correction, self._teach)

    def _teach(self, h_last: Tensor, teacher_correction: Tensor) -> Tensor:
        return self.target.head(h_last + teacher_correction)


def all_batches(batches: Batches) -> Iterator[Batch]:
    """Every unit once."""
    for start in range(0, len(batches), UNITS_AT_ONCE):
        yield batches.batch(range(start, min(start + UNITS_AT_ONCE, len(batches))))


def some_batches(batches: Batches, rows: int) -> list[Batch]:
    """Units drawn at random until they have so many rows; all units where there are no more."""
    order = [*range(len(batches))]
    random.Random(0).shuffle(order)
    drawn: list[Batch] = []
    while order and rows > 0:
        drawn.append(batches.batch([order.pop()]))
        rows -= len(drawn[-1])
    return drawn
