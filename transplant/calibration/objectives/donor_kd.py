"""The donor teaches: the target's own logits, changed as its module changed the donor's.

It is as loud as suits the closed form, and its own word counts as much as there. In P_out alone the
divergence is convex. No text of the domain is read, and no module was ever trained on the target.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from transplant.backbones.view import Backbone, States
from transplant.calibration.objectives.kl import kl
from transplant.calibration.objectives.lessons import Lesson
from transplant.calibration.pairs import PairedText
from transplant.calibration.wanted import OutputMap, Voice, change_of_logits
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
        voice: how the donor is heard.
        seed: of the order.
    """

    def __init__(
        self,
        target: Backbone,
        paired: PairedText,
        donor: Correction,
        output_map: OutputMap,
        voice: Voice,
        seed: int = 0,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            aims = torch.cat([donor(batch.donor.taps).float() for batch in paired.batches])
        if voice.donor_word:
            h_last = torch.cat([batch.donor.h_last for batch in paired.batches])
            aims = torch.cat([aims, h_last], dim=1)
        order = torch.randperm(len(aims), generator=generator)
        self.target, self.voice = target, voice
        self._states = concat_states([batch.target for batch in paired.batches]).select(order)
        self._aims = aims[order]  # the donor's correction, and its last hidden state if it is heard
        self._output_map = output_map.to(target.device)

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
        raw, voice = self.target.head(h_last).float(), self.voice
        correction, h_donor = aim.tensor_split([self._output_map.donor_head.shape[1]], dim=1)
        change = change_of_logits(self._output_map, correction, h_donor, raw, voice.donor_word)
        return raw + voice.gain * change
