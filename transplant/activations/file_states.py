"""Rows of a file as a backbone would have returned them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from transplant.activations.reader import Activations
from transplant.backbones.states import States


def read_states(acts: Activations, rows: range, taps: Sequence[int], last: int) -> States:
    """What a backbone computed at consecutive rows, in single precision, on the CPU.

    Args:
        acts: the open file; it holds the taps and the last layer.
        rows: which rows.
        taps: the layers that are read.
        last: the layer that the head reads.
    """

    def read(tap: int) -> Tensor:
        return acts.tap(str(tap), rows.start, rows.stop).float()

    tokens, h_last = acts.tokens(rows.start, rows.stop), read(last)
    hidden = {tap: h_last if tap == last else read(tap) for tap in taps}
    return States(hidden, h_last, tokens.labels, tokens.ends, tokens.windows)
