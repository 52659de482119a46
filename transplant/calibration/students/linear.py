"""The student `linear`: an affine map of the target's taps, in closed form."""

from __future__ import annotations

from transplant.calibration.closed_form import fit_linear_surrogate
from transplant.calibration.config import MoveConfig
from transplant.calibration.mapped_corrections import MappedCorrections
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.tuning import Choice, choose_fitted
from transplant.modules.linear import LinearCorrection, reading_of
from transplant.progress import Progress


def fit_linear(lesson: Lesson, *, progress: Progress | None = None) -> Choice[LinearCorrection]:
    """Solves for the map, and chooses its gain on the calibration split.

    Args:
        lesson: the paired rows.
        progress: is told of each weight of log p_donor - log p_target that was tried.
    """
    pairing, config = lesson.pairing, lesson.config

    def fit(wanted: MappedCorrections, way: MoveConfig) -> LinearCorrection:
        return linear_map(lesson, wanted, way)

    return choose_fitted(
        fit, pairing, lesson.output_map, lesson.calibration, config, progress=progress
    )


def linear_map(lesson: Lesson, wanted: MappedCorrections, config: MoveConfig) -> LinearCorrection:
    """The map for one set of wanted corrections, without a gain."""
    target = lesson.pairing.target
    taps = target.check_taps(config.taps or target.all_taps)
    reading = reading_of(target.d_model, taps, tap_norms=config.tap_norms)
    return fit_linear_surrogate(reading, lesson.pairing.fitted, wanted, config)
