"""The anchor's correction, solved for: no step is taken."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap
from transplant.alignment.ridge import fit_ridge
from transplant.calibration.objectives.batches import Batch, Batches, some_batches
from transplant.calibration.objectives.corr_mse import corr_mse
from transplant.calibration.objectives.train import mean_of
from transplant.modules.correction import Correction
from transplant.modules.interface import Interface

STRENGTH = 1e-5  # the rows are many and the anchor's correction has no noise
ROWS = 32_768


def corr_closed(
    start: Correction, batches: Batches, held: Sequence[Batch], anchor: Correction
) -> Correction:
    """P_out by least squares, from the candidate's y to the anchor's correction.

    The module may go on reading through its own P_in, or through the anchor's, which belongs to
    the same backbone, as it is or turned to what the module knows: held-out text decides.

    Args:
        start: the candidate; its module stays as it is.
        batches: rows to fit on, with the anchor's correction; about `ROWS` of them are read.
        held: rows that decide between the three.
        anchor: the anchor.
    """
    return solve_for(start, some_batches(batches, ROWS), held, anchor)


@torch.no_grad()
def solve_for(
    start: Correction, rows: Sequence[Batch], held: Sequence[Batch], anchor: Correction
) -> Correction:
    """The same from rows that have been read."""
    inputs = [start.interface]
    if anchor.interface.d_abi == start.interface.d_abi:
        inputs += [anchor.interface, turned(anchor.interface, start.interface, rows)]
    solved = [
        Correction(copy.deepcopy(interface), copy.deepcopy(start.module)) for interface in inputs
    ]
    for one in solved:
        one.requires_grad_(False).eval()
        solve_output(one, rows)
    return min(solved, key=lambda one: mean_of(corr_mse, one, held, 1.0))


def turned(anchor: Interface, own: Interface, rows: Sequence[Batch]) -> Interface:
    """The anchor's interface, mapped to what the candidate's own would make of the same rows.

    It reads all that the anchor reads, and the candidate's module meets what it was trained on, as
    far as a linear map can bring it there.
    """
    moments = CrossMoments(anchor.d_abi, own.d_abi)
    for batch in rows:
        ours, theirs = (
            side.proj_in(side.gather(batch.states.taps)).float() for side in (anchor, own)
        )
        moments.update(ours, theirs)
    found = copy.deepcopy(anchor)
    change = fit_ridge(moments, STRENGTH)
    linear = found.proj_in
    weight, bias = linear.weight.T.cpu(), linear.bias.cpu()  # where fits are
    AffineMap(weight @ change.weight, bias @ change.weight + change.bias).write_to(linear)
    found.abi_norm.load_state_dict(own.abi_norm.state_dict())
    return found


def solve_output(correction: Correction, rows: Sequence[Batch]) -> list[Tensor]:
    """Writes the P_out that comes closest to what is wanted; returns y of each batch."""
    interface = correction.interface
    outputs = [correction.output(one.states.taps, one.states.windows) for one in rows]
    moments = CrossMoments(interface.d_abi, interface.d_model)
    for y, one in zip(outputs, rows, strict=True):
        moments.update(y.detach(), one.wanted)
    fit_ridge(moments, STRENGTH).write_to(interface.proj_out)
    return outputs
