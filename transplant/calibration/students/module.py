"""The student `module`: the donor's own domain module, bit for bit, behind a new interface.

It is the move of a module (`calibration.move`) from rows that hold the donor's change as well: the
input side is fitted to what the module reads in the donor, the output side to the change that the
other students learn, at the weights that the linear one has chosen.
"""

from __future__ import annotations

from transplant.calibration.bridge import Bridge
from transplant.calibration.closed_form import fit_module_output
from transplant.calibration.gain import choose_gain, scaled
from transplant.calibration.move import align, movable_module
from transplant.calibration.students.learned import Learned
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.spec import DONORS_MODULE, MODULE
from transplant.calibration.tuning import Choice
from transplant.errors import InputError
from transplant.modules.linear import LinearCorrection
from transplant.progress import Progress, unseen


def fit_module(
    lesson: Lesson, linear: Choice[LinearCorrection], progress: Progress | None = None
) -> Learned:
    """Fits both sides of the interface, and chooses the gain.

    Args:
        lesson: the paired rows.
        linear: the linear student, whose weights of the donor's log ratios are taken over.
        progress: is told of the fits and of the choice.

    Raises:
        InputError: the donor is no module.
    """
    pairing, config, told = lesson.pairing, linear.config, progress or unseen
    bridge = module_bridge(lesson, linear)
    told(1, 3, "input map")
    fitted = fit_module_output(
        bridge.interface, pairing.correction.module, pairing.fitted, linear.wanted, config
    )
    told(2, 3, "output map")
    gain, loss = choose_gain(
        pairing.target, fitted, lesson.calibration, config.gains, solve=config.solve_gain
    )
    told(3, 3, "gain")
    return Learned(MODULE, scaled(fitted, gain), gain, loss)


def module_bridge(lesson: Lesson, linear: Choice[LinearCorrection]) -> Bridge:
    """The input side of that interface, which writes nothing yet.

    Raises:
        InputError: the donor is no module.
    """
    pairing = lesson.pairing
    if movable_module(pairing.donor) is None:
        raise InputError(
            f"`student={MODULE!r}` needs {DONORS_MODULE}", found=pairing.donor.name,
            hint="`student='auto'`",
        )  # fmt: skip
    return align(pairing, linear.config)
