"""The fixed mean of what the modules would add: a control that has learnt nothing."""

from __future__ import annotations

from torch import Tensor

from transplant.surgery.fuse.combiner import Combiner


class MeanCombiner(Combiner):
    """w_i = 1 / members, whatever is read."""

    def forward(self, hidden: Tensor, deltas: Tensor) -> Tensor:
        """The same weights [..., members] at every position."""
        del hidden
        return deltas.new_full(deltas.shape[:-1], 1.0 / self.members)
