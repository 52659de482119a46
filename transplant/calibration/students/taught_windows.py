"""Windows of paired text that the target reads with gradients, and the teacher at their pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from transplant.alignment.logits import LikelyChange
from transplant.backbones.view import Backbone
from transplant.calibration.large_vocabulary import is_large
from transplant.calibration.mapped_corrections import MappedCorrections
from transplant.calibration.objectives.batches import Batch
from transplant.calibration.objectives.donor_changes import donor_changes
from transplant.calibration.objectives.donor_kd import DonorTeacher
from transplant.calibration.objectives.kl import kl_of
from transplant.calibration.output_map import DonorMix, OutputMap
from transplant.calibration.pairs import PairedText
from transplant.errors import InputError
from transplant.text.windows import Window


@dataclass(frozen=True)
class Taught:
    """Some windows, and what is taught at those of their rows that pair."""

    windows: list[Window]
    rows: Tensor
    """Of all rows of the windows, those at which something is taught [taught]."""
    batch: Batch
    """These rows without what learns, and the teacher."""

    def loss(self, h_last: Tensor) -> Tensor:
        """The divergence from the teacher, in nats, the mean over the rows that are taught.

        Where it teaches at likely tokens alone, to second order.

        Args:
            h_last: of all rows of the windows, with what learns at work [rows, d_model].
        """
        batch, hidden = self.batch, h_last[self.rows]
        if batch.wanted_change is None:
            return kl_of(batch, hidden)
        return donor_changes(batch, hidden.float() - batch.states.h_last.float(), 1.0) / 2


@dataclass(frozen=True)
class _Part:
    """Windows `first` to `last` of a batch of pairs, and where their rows are."""

    number: int
    first: int
    last: int
    begin: int
    end: int


@dataclass(frozen=True)
class LikelyTeacher:
    """The donor as it teaches at likely tokens: what it changes there, times a gain."""

    changes: Sequence[LikelyChange]
    """Of each batch of pairs, see `MappedCorrections.all_changes`."""
    gain: float
    inside: bool = False
    """Whether the changes inside donor tokens are among these."""


def teacher_of(
    target: Backbone,
    output_map: OutputMap,
    mix: DonorMix,
    wanted: Callable[[], MappedCorrections],
    *,
    inside: bool = False,
) -> DonorTeacher | LikelyTeacher:
    """The teacher that suits a target: at every token, or in a large vocabulary at likely ones.

    Args:
        target: the frozen backbone.
        output_map: the two heads.
        mix: how changes are carried, and the gain.
        wanted: gives what is wanted at the pairs, where it teaches at likely tokens.
        inside: whether something is wanted inside donor tokens, too. It is taught at likely tokens;
            a teacher at every token has the pairs alone.
    """
    if is_large(target):
        return LikelyTeacher(wanted().all_changes(), mix.gain, inside)
    return DonorTeacher(target, output_map.to(target.device), mix)


class TaughtWindows:
    """Windows of the pairing text, a few at a time, with the donor as the teacher.

    The donor has read the text before; the target reads it at every step, since what learns works
    inside it. Rows that went to files are read from there.

    Args:
        target: the frozen backbone.
        paired: the paired rows, with their windows.
        donor: its correction from its taps, on the CPU.
        teacher: the target's logits, changed as the donor's were, at all tokens or likely ones.
        at_once: windows of a unit.

    Raises:
        InputError: the rows were read from files: there are no windows for the target to read.
    """

    def __init__(
        self,
        target: Backbone,
        paired: PairedText,
        donor: Callable[[Mapping[int, Tensor]], Tensor],
        teacher: DonorTeacher | LikelyTeacher,
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
        rows, states = some.rows[1], pairs.target
        if isinstance(self.teacher, LikelyTeacher) and self.teacher.inside:
            rows, states = some.target_rows, pairs.taught
        here = (rows >= part.begin) & (rows < part.end)
        batch = Batch(self.target, states.select(here).to(place), head_type=head_type)
        if isinstance(self.teacher, LikelyTeacher):
            wanted = self.teacher.changes[part.number].at(here, place, self.teacher.gain)
            batch = dataclasses.replace(batch, wanted_change=wanted)
        else:
            learned = self.teacher.correction(self.donor, pairs.donor.select(here)).to(place)
            batch = dataclasses.replace(
                batch, teacher_correction=learned, teach=self.teacher.logits
            )
        windows = [*some.target[part.first : part.last]]
        return Taught(windows, (rows[here] - part.begin).to(place), batch)
