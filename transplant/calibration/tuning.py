"""Tuning on the domain's calibration split: how changes are carried, how much the donor weighs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from transplant.calibration.changes.spec import AUTO, BEGINS_WITH, PUSH_FORWARD
from transplant.calibration.closed_form import fit_module_output
from transplant.calibration.config import FIRST, PRODUCT, MoveConfig
from transplant.calibration.gain import AnyCorrection, choose_gains, scaled
from transplant.calibration.mapped_corrections import MappedCorrections
from transplant.calibration.move import Calibrated, Pairing, want
from transplant.calibration.output_map import DonorMix, OutputMap, donor_mix
from transplant.modules.correction import Correction
from transplant.modules.interface import Interface
from transplant.progress import Progress, unseen
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
    change: str = BEGINS_WITH
    """How changes of logits were carried to the target's vocabulary."""
    longer: str = FIRST
    """What a token of the target that is longer than the donor's changed by: `first` or `product`.
    """


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
        return donor_mix(self.config, self.calibrated.gain)


def choose(
    pairing: Pairing,
    reading: Interface,
    output_map: OutputMap,
    calibration: Sequence[Window] | RowSource,
    config: MoveConfig,
    *,
    progress: Progress | None = None,
) -> Choice[Correction]:
    """Tries every way that a configuration names; keeps the best on calibration text.

    Args:
        pairing: the paired rows.
        reading: the interface whose input side is fitted.
        output_map: the way between the two heads.
        calibration: windows of the domain's calibration split, or their rows.
        config: how to fit, and of `changes`, `donor_words` and `longer` what is tried.
        progress: is told of each, and of the choice.
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
        config: how to fit, and of `changes`, `donor_words` and `longer` what is tried.
        progress: is told of each, and of the choice.
    """
    ways = ways_to_try(output_map, config)
    told, steps = progress or unseen, len(ways) + 1  # the last one chooses among them
    wanted: list[MappedCorrections] = []
    fitted: dict[str, AnyCorrection] = {}
    for number, way in enumerate(ways):
        wanted.append(want(pairing, output_map, way, like=wanted[-1] if wanted else None))
        fitted[f"{number}"] = fit(wanted[number], way)
        told(number + 1, steps, "changes and weights of the donor")
    gains = choose_gains(pairing.target, fitted, calibration, config.gains, solve=config.solve_gain)
    told(steps, steps, "gains")
    tried = [
        Tried(way.donor_word, *gain, way.change, way.longer)
        for way, gain in zip(ways, gains.values(), strict=True)
    ]
    best = min(range(len(tried)), key=lambda number: tried[number].loss)
    gain, loss = tried[best].gain, tried[best].loss
    calibrated = Calibrated(scaled(fitted[f"{best}"], gain), gain, loss)
    return Choice(ways[best], wanted[best], calibrated, tried=tuple(tried))


def ways_to_try(output_map: OutputMap, config: MoveConfig) -> list[MoveConfig]:
    """One configuration for each way to carry a change and each weight of the donor.

    Between vocabularies that are the same push-forward is begins-with, and not tried beside it; nor
    is a product along the donor's tokens, where the choice is left to the calibration split.

    Args:
        output_map: the way between the two heads.
        config: names what is tried.
    """
    changes: Sequence[str] = config.changes or (BEGINS_WITH,)
    if output_map.one_vocabulary and BEGINS_WITH in changes:
        changes = [change for change in changes if change != PUSH_FORWARD]
    longer: Sequence[str] = (config.longer,)
    if config.longer == AUTO:
        longer = (FIRST,) if output_map.one_vocabulary else (FIRST, PRODUCT)
    return [
        dataclasses.replace(config, change=change, donor_word=word, longer=product)
        for product, change, word in itertools.product(longer, changes, config.donor_words)
    ]
