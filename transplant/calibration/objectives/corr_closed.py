"""The anchor's correction, solved for: no step is taken."""

from __future__ import annotations

import copy

import torch

from transplant.activations.moments import CrossMoments
from transplant.alignment.ridge import fit_ridge
from transplant.calibration.objectives.lessons import Lessons, all_lessons
from transplant.modules.hosted import Correction

STRENGTH = 1e-5  # the rows are many and the anchor's correction has no noise


@torch.no_grad()
def corr_closed(start: Correction, lessons: Lessons) -> Correction:
    """P_out by least squares, from the candidate's y to the anchor's correction.

    Args:
        start: the candidate; its input side and its module stay as they are.
        lessons: rows, with the anchor's correction.
    """
    solved = copy.deepcopy(start).requires_grad_(False).eval()
    moments = CrossMoments(solved.interface.d_abi, solved.interface.d_model)
    for lesson in all_lessons(lessons):
        states = lesson.states
        moments.update(solved.output(states.taps, states.windows), lesson.wanted)
    fit_ridge(moments, STRENGTH).write_to(solved.interface.proj_out)
    return solved
