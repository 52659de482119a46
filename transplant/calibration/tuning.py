"""Tuning: the weight of log p_donor - log p_target, chosen on the domain's calibration split."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from transplant.calibration.closed_form import fit_module_output
from transplant.calibration.config import MoveConfig
from transplant.calibration.gain import AnyCorrection, choose_gains, scaled
from transplant.calibration.move import Calibrated, Pairing, want
from transplant.calibration.output_map import DonorMix, MappedCorrections, OutputMap
from transplant.modules.correction import Correction
from transplant.modules.interface import Interface
from transplant.progress import Progress
from transplant.text.windows import Window
from transplant.training.row_sources import RowSource


@dataclass(frozen=True)
class Tried:
    """One way that was tried."""

    donor_word: float
    """The weight of log p_donor - log p_target."""
    gain: float
    """The factor on the correction that suited it best."""
    loss: float
    """Nats per token on the calibration split."""


@dataclass(frozen=True)
class Choice(Generic[AnyCorrection]):
    """The way with the smallest loss, and all that were tried."""

    config: MoveConfig
    wanted: MappedCorrections
    calibrated: Calibrated[AnyCorrection]
    tried: tuple[Tried, ...]

    @property
    def donor_mix(self) -> DonorMix:
        """The weights that it chose."""
        return DonorMix(self.config.donor_word, self.calibrated.gain)


def choose(
    pairing: Pairing,
    reading: Interface,
    output_map: OutputMap,
    calibration: Sequence[Window] | RowSource,
    config: MoveConfig,
    *,
    progress: Progress | None = None,
) -> Choice[Correction]:
    """Tries each of `config.donor_words` and keeps the best on the calibration split.

    Args:
        pairing: the paired rows.
        reading: the interface whose input side is fitted.
        output_map: the way between the two heads.
        calibration: windows of the domain's calibration split, or their rows.
        config: how to fit; its `donor_words` are tried.
        progress: is told of each.
    """
    module = pairing.correction.module

    def fit(wanted: MappedCorrections, way: MoveConfig) -> Correction:
        return fit_module_output(reading, module, pairing.fitted, wanted, way)

    return choose_fitted(fit, pairing, output_map, calibration, config, progress=progress)


def choose_fitted(
    fit: Callable[[MappedCorrections, MoveConfig], AnyCorrection],
    pairing: Pairing,
    output_map: OutputMap,
    calibration: Sequence[Window] | RowSource,
    config: MoveConfig,
    *,
    progress: Progress | None = None,
) -> Choice[AnyCorrection]:
    """The same for any closed form.

    Args:
        fit: from what is wanted, and the way that is tried, to a correction of the target.
        pairing: the paired rows.
        output_map: the way between the two heads.
        calibration: windows of the domain's calibration split, or their rows.
        config: how to fit; its `donor_words` are tried.
        progress: is told of each.
    """
    words = config.donor_words
    ways = [dataclasses.replace(config, donor_word=word) for word in words]
    wanted: list[MappedCorrections] = []
    fitted: dict[str, AnyCorrection] = {}
    for number, way in enumerate(ways):
        wanted.append(want(pairing, output_map, way, like=wanted[0] if wanted else None))
        fitted[f"{number}"] = fit(wanted[number], way)
        if progress is not None:
            progress(number + 1, len(words), "weights of the donor")
    gains = choose_gains(pairing.target, fitted, calibration, config.gains, solve=config.solve_gain)
    tried = [Tried(word, *gain) for word, gain in zip(words, gains.values(), strict=True)]
    best = min(range(len(tried)), key=lambda number: tried[number].loss)
    gain, loss = tried[best].gain, tried[best].loss
    calibrated = Calibrated(scaled(fitted[f"{best}"], gain), gain, loss)
    return Choice(ways[best], wanted[best], calibrated, tried=tuple(tried))
