"""The controls that stand beside every move (DESIGN, section 4).

Donor-free: what is left when nothing of the donor comes along. Module-free: what the donor's
outputs alone bring, without the module's own weights. Each fitted control chooses its own gain, as
the candidate does.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from transplant.backbones.core import CoreBackbone
from transplant.calibration.closed_form import fit_linear_surrogate, fit_module_output
from transplant.calibration.config import MoveConfig
from transplant.calibration.gain import choose_gains, scaled
from transplant.calibration.mapped_corrections import MappedCorrections, map_corrections
from transplant.calibration.move import Calibrated, Pairing, align, want
from transplant.modules.core import CoreCorrection
from transplant.modules.correction import Correction
from transplant.modules.domain import DomainModule
from transplant.modules.interface import Interface
from transplant.modules.linear import LinearCorrection
from transplant.modules.untrained import random_module
from transplant.progress import Progress, unseen
from transplant.text.windows import Window
from transplant.training.row_sources import RowSource


def build_controls(
    pairing: Pairing,
    reading: Interface,
    wanted: MappedCorrections,
    candidate: Calibrated,
    calibration: Sequence[Window] | RowSource,
    config: MoveConfig,
    *,
    progress: Progress = unseen,
) -> dict[str, Correction | LinearCorrection]:
    """Every control that needs no second domain and no training, by the name it is reported under.

    Args:
        pairing: the paired rows of the move.
        reading: the interface with the fitted input side.
        wanted: what the corrections should be.
        candidate: the move itself.
        calibration: windows that choose the gains.
        config: the move's configuration, as it was chosen.
        progress: is told of each that is fitted, and of their gains.
    """
    random = random_module(pairing.correction.module, config.seed)
    steps, done = 5 if config.donor_word else 4, itertools.count(1)  # the last: their gains
    fitted: dict[str, Correction | LinearCorrection] = {
        "shuffled_pairs": shuffled(pairing, wanted, config)
    }
    progress(next(done), steps, "controls")
    fitted["linear_surrogate"] = fit_linear_surrogate(reading, pairing.fitted, wanted, config)
    progress(next(done), steps, "controls")
    fitted["random_refitted"] = fit_module_output(reading, random, pairing.fitted, wanted, config)
    progress(next(done), steps, "controls")
    if config.donor_word:
        alone = map_corrections(
            wanted.output_map, None, pairing.target, pairing.fitted, config, like=wanted
        )
        fitted["donor_alone"] = fit_linear_surrogate(reading, pairing.fitted, alone, config)
        progress(next(done), steps, "controls")
    gains = choose_gains(pairing.target, fitted, calibration, config.gains, solve=config.solve_gain)
    progress(next(done), steps, "gains")
    controls = {
        "random_module": Correction(candidate.correction.interface, random),
        **{name: scaled(one, gains[name][0]) for name, one in fitted.items()},
    }
    return controls | copied_over(pairing)


def shuffled(pairing: Pairing, wanted: MappedCorrections, config: MoveConfig) -> Correction:
    """The whole move again, up to the gain, from pairs whose two sides do not belong together."""
    mixed = dataclasses.replace(pairing, fitted=pairing.fitted.shuffled(config.seed))
    reading = align(mixed, config).interface
    again = want(mixed, wanted.output_map, config, like=wanted)
    return fit_module_output(reading, mixed.correction.module, mixed.fitted, again, config)


def copied_over(pairing: Pairing) -> dict[str, Correction]:
    """What no fit has touched, where the shapes allow it.

    `pasted`: a core's module behind the target core's own interface, as a paste leaves it.
    `direct_copy`: the donor's own interface on the target.
    """
    # A copy: scoring moves what it scores to where the target is, and fits go on on the CPU.
    correction, target = copy.deepcopy(pairing.correction), pairing.target
    interface = correction.interface
    if isinstance(correction, CoreCorrection):
        if not isinstance(target, CoreBackbone) or target.d_abi != interface.d_abi:
            return {}
        return {"pasted": CoreCorrection(target, correction.module)}
    if interface.d_model != target.d_model or max(interface.taps) > target.n_layers:
        return {}
    return {"direct_copy": Correction(interface, correction.module)}


def under_same_maps(
    candidate: Calibrated, others: Mapping[str, DomainModule]
) -> dict[str, Correction]:
    """Other domains' modules behind the candidate's interface: they should not help."""
    interface = candidate.correction.interface
    return {f"other_domain_{name}": Correction(interface, other) for name, other in others.items()}
