"""The anchor's correction, solved for: no step is taken."""

from __future__ import annotations

import copy

import torch

from transplant.activations.moments import CrossMoments
from transplant.alignment.ridge import fit_ridge
from transplant.calibration.objectives.corr_mse import corr_mse
from transplant.calibration.objectives.learn import mean_of
from transplant.calibration.objectives.lessons import Lessons, all_lessons
from transplant.modules.hosted import Correction

STRENGTH = 1e-5  # the rows are many and the anchor's correction has no noise


@torch.no_grad()
def corr_closed(
    start: Correction, lessons: Lessons, held: Lessons, anchor: Correction
) -> Correction:
    """P_out by least squares, from the candidate's y to the anchor's correction.

    The module may go on reading through its own P_in, or through the anchor's, which belongs to
    the same backbone: held-out text decides.

    Args:
        start: the candidate; its module stays as it is.
        lessons: rows to fit on, with the anchor's correction.
        held: rows that decide between the two.
        anchor: the anchor.
    """
    inputs = [start.interface]
    if anchor.interface.d_abi == start.interface.d_abi:
        inputs.append(anchor.interface)
    solved = [
        Correction(copy.deepcopy(interface), copy.deepcopy(start.module)) for interface in inputs
    ]
    for one in solved:
        one.requires_grad_(False).eval()
        _solve(one, lessons)
    return min(solved, key=lambda one: mean_of(corr_mse, one, held, 1.0))


def _solve(correction: Correction, lessons: Lessons) -> None:
    interface = correction.interface
    moments = CrossMoments(interface.d_abi, interface.d_model)
    for lesson in all_lessons(lessons):
        states = lesson.states
        moments.update(correction.output(states.taps, states.windows), lesson.wanted)
    fit_ridge(moments, STRENGTH).write_to(interface.proj_out)
