"""A module at work in its new backbone, by the steps that a move takes one by one."""

from __future__ import annotations

from transplant.calibration.closed_form import fit_module_output
from transplant.calibration.gain import choose_gain, scaled
from transplant.calibration.move import Calibrated


def calibrate(pairing, reading, wanted, calibration, config):
    """Refits `P_out` on the moved module's outputs and chooses the gain."""
    module = pairing.correction.module
    fitted = fit_module_output(reading, module, pairing.fitted, wanted, config)
    gain, loss = choose_gain(pairing.target, fitted, calibration, config.gains)
    return Calibrated(scaled(fitted, gain), gain, loss)
