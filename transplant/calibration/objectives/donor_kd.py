"""The donor teaches: the target's own logits, changed as its module changed the donor's.

In P_out alone the divergence is convex. No text of the domain is read, and no module was ever
trained on the target.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from transplant.alignment.logits import spread_change
from transplant.backbones.view import Backbone, States
from transplant.calibration.objectives.kl import kl
from transplant.calibration.objectives.lessons import Lesson
from transplant.calibration.pairs import PairedText
from transplant.calibration.wanted import OutputMap
from transplant.modules.correction import Correction
from transplant.training.rows import concat_states

BLOCK = 512  # rows of a unit

donor_kd = kl  # the teacher is what differs


class DonorLessons:
    """Paired rows of the target, in random order, with the donor's correction at each.

    Args:
        target: the frozen backbone.
        paired: the paired rows.
        donor: the donor's interface and module, on the CPU.
        output_map: the two heads, and the tokens that they share.
        seed: of the order.
    """

    def __init__(
        self,
        target: Backbone,
        paired: PairedText,
        donor: Correction,
        output_map: OutputMap,
        seed: int = 0,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            aims = torch.cat([donor(batch.donor.taps).float() for batch in paired.batches])
        order = torch.randperm(len(aims), generator=generator)
        self.target = target
        self._states = concat_states([batch.target for batch in paired.batches]).select(order)
        self._aims = aims[order]
        device = target.device
        self._head = output_map.donor_head.to(device)
        self._beginnings = output_map.beginnings.to(device)

    def __len__(self) -> int:
        """The number of blocks; a last one that is not full is dropped where there are others."""
        return max(1, len(self._aims) // BLOCK)

    def lesson(self, units: Sequence[int]) -> Lesson:
        """The rows of these blocks."""
        rows = torch.cat([torch.arange(n * BLOCK, (n + 1) * BLOCK) for n in units])
        rows = rows[rows < len(self._aims)]
        states: States = self._states.select(rows).to(self.target.device)
        return Lesson(self.target, states, self._aims[rows].to(self.target.device), self._teach)

    def _teach(self, h_last: Tensor, aim: Tensor) -> Tensor:
        raw = self.target.head(h_last).float()
        return raw + spread_change(aim @ self._head.T, raw.softmax(-1), self._beginnings)
