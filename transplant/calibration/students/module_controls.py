"""Controls of the student `module-new` that are modules, too."""

from __future__ import annotations

import dataclasses

from transplant.calibration.gain import choose_gain, scaled
from transplant.calibration.move import want
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.linear import linear_map
from transplant.calibration.students.module_new import fit_module_new, untaught_module
from transplant.calibration.tuning import Choice
from transplant.modules.correction import Correction
from transplant.modules.linear import LinearCorrection
from transplant.progress import Progress, part_of, unseen

SHUFFLED_MODULE, UNTAUGHT_MODULE = "shuffled_module", "untaught_module"


def shuffled_module(
    lesson: Lesson, linear: Choice[LinearCorrection], *, progress: Progress = unseen
) -> Correction:
    """The same recipe with the donor's rows in random order: nothing of it is the donor's.

    What it reads is whitened along the map of the shuffled pairs, and its gain is chosen on the
    calibration split, as the student's.

    Args:
        lesson: what the student has learned from.
        linear: the linear student.
        progress: is told of the steps.
    """
    config, pairing = linear.config, lesson.pairing
    mixed = dataclasses.replace(pairing, fitted=pairing.fitted.shuffled(config.seed))
    wanted = want(mixed, lesson.output_map, config, like=linear.wanted)
    taught = dataclasses.replace(lesson, pairing=mixed)
    start = linear_map(taught, wanted, config)
    read_by = dataclasses.replace(linear.calibrated, correction=start)
    known = dataclasses.replace(linear, wanted=wanted, calibrated=read_by)
    correction = fit_module_new(taught, known, progress).correction
    assert isinstance(correction, Correction)
    return correction


def module_controls(
    lesson: Lesson, linear: Choice[LinearCorrection], *, progress: Progress = unseen
) -> dict[str, Correction]:
    """The controls by name.

    `shuffled_module` is donor-free. `untaught_module` is the student before its gradient steps: a
    random module whose `P_out` is solved for, with a gain of its own. It holds the donor's change,
    and shows what teaching has added.

    Args:
        lesson: what the student has learned from.
        linear: the linear student.
        progress: is told of the steps.
    """
    config = linear.config
    shuffled = shuffled_module(lesson, linear, progress=part_of(progress, 0, 9, 10))
    start = untaught_module(lesson, linear)
    gain, _ = choose_gain(
        lesson.pairing.target, start, lesson.calibration, config.gains, solve=config.solve_gain
    )
    progress(10, 10, "gains")
    return {SHUFFLED_MODULE: shuffled, UNTAUGHT_MODULE: scaled(start, gain)}
