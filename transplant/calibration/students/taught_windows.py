"""Windows of paired text that the target reads with gradients, and the teacher at their pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.calibration.objectives.batches import Batch
from transplant.calibration.objectives.donor_kd import DonorTeacher
from transplant.calibration.pairs import PairedText
from transplant.errors import InputError
from transplant.text.windows import Window


@dataclass(frozen=True)
class Taught:
    """Some windows, and what is taught at those of their rows that pair."""

    windows: list[Window]
    rows: Tensor
    """Of all rows of the windows, those that pair [pairs]."""
    batch: Batch
    """These rows without what learns, and the teacher."""


@dataclass(frozen=True)
class _Part:
    """Windows `first` to `last` of a batch of pairs, and where their rows are."""

    number: int
    first: int
    last: int
    begin: int
    end: int


class TaughtWindows:
    """Windows of the pairing text, a few at a time, with the donor as the teacher.

    The donor has read the text before; the target reads it at every step, since what learns works
    inside it. Rows that went to files are read from there.

    Args:
        target: the frozen backbone.
        paired: the paired rows, with their windows.
        donor: its correction from its taps, on the CPU.
        teacher: the target's logits, changed as the donor's were.
        at_once: windows of a unit.

    Raises:
        InputError: the rows were read from files: there are no windows for the target to read.
    """

    def __init__(
        self,
        target: Backbone,
        paired: PairedText,
        donor: Callable[[Mapping[int, Tensor]], Tensor],
        teacher: DonorTeacher,
        at_once: int,
    ) -> None:
        if not paired.windows:
            raise InputError(
                "what learns inside the target needs text to read", found="rows from files",
                hint="`data='TEXT'`",
            )  # fmt: skip
        self.target, self.paired, self.donor, self.teacher = target, paired, donor, teacher
        self._parts: list[_Part] = []
        for number, some in enumerate(paired.windows):
            counts = [len(target.rows_of(window).labels) for window in some.target]
            starts = [0, *accumulate(counts)]
            for first in range(0, len(counts), at_once):
                last = min(first + at_once, len(counts))
                begin, end = starts[first], starts[last]
                if bool(((some.rows[1] >= begin) & (some.rows[1] < end)).any()):
                    self._parts.append(_Part(number, first, last, begin, end))

    def __len__(self) -> int:
        return len(self._parts)

    @torch.no_grad()
    def unit(self, number: int, head_type: torch.dtype) -> Taught:
        """Some windows and their teacher.

        Args:
            number: of the unit.
            head_type: in which the head is multiplied where there is a gradient.
        """
        part, place = self._parts[number], self.target.device
        some, pairs = self.paired.windows[part.number], self.paired.batches[part.number]
        rows = some.rows[1]
        here = (rows >= part.begin) & (rows < part.end)
        teacher_correction = self.teacher.correction(self.donor, pairs.donor.select(here))
        batch = Batch(
            self.target, pairs.target.select(here).to(place), teacher_correction.to(place),
            self.teacher.logits, head_type=head_type,
        )  # fmt: skip
        windows = [*some.target[part.first : part.last]]
        return Taught(windows, (rows[here] - part.begin).to(place), batch)
