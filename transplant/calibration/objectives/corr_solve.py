"""The anchor's correction by both maps: P_out solved for, P_in searched with P_out always solved.

For any P_in the best P_out is a least-squares problem, so that P_in alone has to be searched for
(variable projection): at the solved P_out the error's gradient in P_in is that of the whole. What
is left is smooth and small enough for L-BFGS on a few thousand rows at once, which needs tens of
looks at them where batches need hundreds of steps, and has no rate to choose.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from transplant.calibration.objectives.batches import Batch, Batches, some_batches
from transplant.calibration.objectives.corr_closed import solve_for, solve_output
from transplant.calibration.objectives.corr_mse import corr_mse
from transplant.calibration.objectives.train import mean_of
from transplant.errors import NumericalError
from transplant.modules.correction import Correction

ROWS = 10_240
ITERATIONS = 25


def corr_solve(
    start: Correction, batches: Batches, held: Sequence[Batch], anchor: Correction
) -> Correction:
    """P_in and P_out for the anchor's correction; what least squares in P_out finds is the start.

    Args:
        start: the candidate; its module stays as it is.
        batches: rows to fit on, with the anchor's correction; about `ROWS` of them are read.
        held: rows that decide whether the search has helped.
        anchor: the anchor.

    Raises:
        NumericalError: the error is not finite.
    """
    rows = some_batches(batches, ROWS)
    begin = solve_for(start, rows, held, anchor)
    both = (begin, _searched(begin, rows))
    return min(both, key=lambda one: mean_of(corr_mse, one, held, 1.0))


def _searched(begin: Correction, rows: list[Batch]) -> Correction:
    found = copy.deepcopy(begin)
    moving = [*found.interface.proj_in.requires_grad_(True).parameters()]
    search = torch.optim.LBFGS(
        moving, max_iter=ITERATIONS, history_size=ITERATIONS, line_search_fn="strong_wolfe"
    )

    def look() -> Tensor:
        search.zero_grad()
        error = _error(found, rows)
        if not torch.isfinite(error):
            raise NumericalError("corr-solve: the error to the anchor's correction is not finite")
        error.backward()
        return error

    search.step(look)
    with torch.no_grad():
        solve_output(found, rows)  # P_out for the P_in that was kept
    return found.requires_grad_(False)


def _error(correction: Correction, rows: list[Batch]) -> Tensor:
    """The mean squared error that is left where P_out is solved for."""
    outputs, write_out = solve_output(correction, rows), correction.interface.write_out
    left = [
        functional.mse_loss(write_out(y), one.wanted, reduction="sum")
        for y, one in zip(outputs, rows, strict=True)
    ]
    return torch.stack(left).sum() / sum(one.wanted.numel() for one in rows)
