"""The donor teaches: the target's own logits, changed as its module changed the donor's.

Gain and weights are those that the closed form chose (`DonorMix`). In P_out alone the divergence is
convex. No text of the domain is read, and no module was ever trained on the target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.backbones.states import States
from transplant.backbones.token_losses import LOGITS
from transplant.backbones.view import Backbone
from transplant.calibration.objectives.batches import Batch
from transplant.calibration.objectives.kl import kl
from transplant.calibration.objectives.paired_blocks import PairedBlocks
from transplant.calibration.output_map import DonorMix, OutputMap, change_of_logits
from transplant.calibration.pairs import PairedText
from transplant.training.losses import COPIES

donor_kd = kl  # the teacher is what differs


@dataclass(frozen=True)
class DonorTeacher:
    """The target's own logits, changed as the donor's were, at paired rows."""

    target: Backbone
    output_map: OutputMap
    donor_mix: DonorMix

    def correction(self, donor: Callable[[Mapping[int, Tensor]], Tensor], rows: States) -> Tensor:
        """What `logits` needs of the donor: [rows, d_donor], or twice as wide.

        Args:
            donor: its correction from its taps.
            rows: the donor's states; its last one stands beside the correction where the
                donor's own logits are of use.
        """
        found = donor(rows.taps).float()
        alone = self.output_map.is_linear and not self.donor_mix.reads_donor
        return found if alone else torch.cat([found, rows.h_last], dim=1)

    def logits(self, h_last: Tensor, teacher_correction: Tensor) -> Tensor:
        """The teacher's [rows, vocab] from the target's h_last [rows, d_model], unchanged.

        A few rows at a time, where the donor's vocabulary is large.
        """
        vocab, width = len(self.output_map.donor_head), self.output_map.width
        size = max(1, LOGITS // (COPIES * vocab))
        taught = [
            self._of_block(rows, *some.tensor_split([width], dim=1))
            for rows, some in zip(h_last.split(size), teacher_correction.split(size), strict=True)
        ]
        return torch.cat(taught)

    def _of_block(self, h_last: Tensor, correction: Tensor, h_donor: Tensor) -> Tensor:
        raw, donor_mix = self.target.head(h_last).float(), self.donor_mix
        change = change_of_logits(self.output_map, correction, h_donor, raw, donor_mix)
        return raw + donor_mix.gain * change


class DonorBatches:
    """Paired rows of the target, in random order, with the donor's correction at each.

    Args:
        target: the frozen backbone.
        paired: the paired rows.
        donor: its correction from its taps, on the CPU.
        output_map: the two heads, and the tokens that they share.
        donor_mix: the weights of its log ratios.
        seed: of the order.
    """

    def __init__(
        self,
        target: Backbone,
        paired: PairedText,
        donor: Callable[[Mapping[int, Tensor]], Tensor],
        output_map: OutputMap,
        donor_mix: DonorMix,
        seed: int = 0,
    ) -> None:
        self.target, self._blocks = target, PairedBlocks(target, paired, seed)
        self._teacher = DonorTeacher(target, output_map.to(target.device), donor_mix)
        with torch.no_grad():
            teacher_corrections = torch.cat(
                [self._teacher.correction(donor, batch.donor) for batch in paired.batches]
            )
        # [rows, d_donor], and the donor's last hidden state beside it where it has a weight
        self._teacher_corrections = teacher_corrections[self._blocks.order]

    def __len__(self) -> int:
        """The number of blocks."""
        return len(self._blocks)

    def batch(self, units: Sequence[int]) -> Batch:
        """The rows of these blocks."""
        rows = self._blocks.rows(units)
        teacher_correction = self._teacher_corrections[rows].to(self.target.device)
        states = self._blocks.states(rows)
        return Batch(self.target, states, teacher_correction, self._teacher.logits)
