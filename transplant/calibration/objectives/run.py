"""One objective, applied: what it needs is checked, its batches are laid out, it is solved."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from transplant.backbones.view import Backbone
from transplant.calibration.config import MoveConfig
from transplant.calibration.mapped_corrections import MappedCorrections
from transplant.calibration.move import Pairing, want
from transplant.calibration.objectives.batches import Batches, TextBatches, all_batches
from transplant.calibration.objectives.chunks import ChunkBatches, chunk_nats
from transplant.calibration.objectives.config import LearnConfig
from transplant.calibration.objectives.corr_closed import corr_closed
from transplant.calibration.objectives.corr_solve import corr_solve
from transplant.calibration.objectives.donor_changes import ChangeBatches, donor_changes
from transplant.calibration.objectives.donor_kd import DonorBatches, donor_kd
from transplant.calibration.objectives.shared_step import Subject
from transplant.calibration.objectives.spec import DOMAIN, ORACLE, PAIRED, UNLABELLED, spec_of
from transplant.calibration.objectives.table import LOSSES
from transplant.calibration.objectives.train import Learnt, learn
from transplant.calibration.output_map import DonorMix, OutputMap
from transplant.errors import InputError
from transplant.modules.correction import Correction
from transplant.progress import Progress
from transplant.training.course import Course
from transplant.training.row_sources import RowSource

SOLVERS = {"corr-closed": corr_closed, "corr-solve": corr_solve}  # from an anchor, without a rate
HINTS = {
    PAIRED: "`data` names text for both backbones to read",
    UNLABELLED: "`domain_data` names text of the domain",
    DOMAIN: "`domain_data` names text of the domain",
    ORACLE: "`anchor` names a module on the target, as in python@ref-llama",
}


@dataclass(frozen=True, kw_only=True)
class Material:
    """What objectives may need; each takes what its `Spec` names."""

    target: Backbone
    pairing: Pairing | None = None
    output_map: OutputMap | None = None
    donor_mix: DonorMix = DonorMix()
    """The weights of the donor's log ratios, where it teaches."""
    wanted: MappedCorrections | None = None
    """The changes that are wanted at the pairs to fit on; None: they are mapped when needed."""
    mapping: MoveConfig = MoveConfig()
    """How changes are mapped: how many likely tokens, with which weight of the donor itself."""
    train: RowSource | None = None
    """Rows of the domain's training split, with the taps of all that reads them."""
    calibration: RowSource | None = None
    """The same of its calibration split, for early stopping."""
    oracle: Correction | None = None

    def lacks(self, need: str) -> bool:
        """Whether something that an objective needs is not there."""
        if need == PAIRED:
            return self.pairing is None or self.output_map is None
        if need == ORACLE:
            return self.oracle is None
        return self.train is None or self.calibration is None


def fit_by(
    objective: str,
    start: Correction,
    material: Material,
    config: LearnConfig | None = None,
    *,
    progress: Progress | None = None,
) -> Learnt:
    """Calibrates an interface by one objective.

    Args:
        objective: a name of `spec.SPECS`, but `closed-form`, which `move.calibrate` is.
        start: interface and module to begin with; it is copied, not changed.
        material: what the objective needs.
        config: the recipe; the objective's own without it.
        progress: called after each step.

    Raises:
        InputError: no such objective, or something that it needs is not there.
    """
    spec = spec_of(objective)
    for need in spec.needs:
        if material.lacks(need):
            raise InputError(
                f"the objective {objective} needs {need}", found="none", hint=HINTS[need]
            )
    start = copy.deepcopy(start).to(material.target.device)
    if objective not in SOLVERS and objective not in LOSSES:
        raise InputError(f"{objective} is not fitted here", expected=f"one of {[*LOSSES]}")
    config = config or spec.learn or LearnConfig()
    if spec.reads_domain:
        batches, to_hold = _text(material, material.train), _text(material, material.calibration)
    else:
        paired = _changes if objective == "donor-changes" else _paired
        batches = paired(material, config.seed)
        to_hold = paired(material, config.seed, held_out=True)
    held = [*all_batches(to_hold)]  # read once: every look is at the same rows
    if objective in SOLVERS:
        assert material.oracle is not None
        return Learnt(SOLVERS[objective](start, batches, held, material.oracle), Course())
    subjects = [Subject(batches, LOSSES[objective])]
    if spec.reads_domain and PAIRED in spec.needs:
        subjects.append(_teaching(objective, material, config))
    if config.chunks and PAIRED in spec.needs:
        read = _chunks(material, start.taps, config.seed)
        subjects.append(Subject(read, chunk_nats, config.chunks))
    return learn(start, subjects, held, config, progress=progress)


def _teaching(objective: str, material: Material, config: LearnConfig) -> Subject:
    """The donor beside the next tokens of a text.

    To second order a divergence is half the squared error of `donor_changes`.
    """
    weight = config.donor_tokens / config.tokens
    if objective == "lm+donor-changes":
        gain = material.donor_mix.gain
        return Subject(_changes(material, config.seed, gain=gain), donor_changes, weight / 2)
    return Subject(_paired(material, config.seed), donor_kd, weight)


def _text(material: Material, source: RowSource | None) -> Batches:
    assert source is not None
    return TextBatches(material.target, source, material.oracle)


def _paired(material: Material, seed: int, *, held_out: bool = False) -> Batches:
    pairing, output_map = material.pairing, material.output_map
    assert pairing is not None
    assert output_map is not None
    side = pairing.held_out if held_out else pairing.fitted
    return DonorBatches(material.target, side, pairing.change, output_map, material.donor_mix, seed)


def _chunks(material: Material, taps: Sequence[int], seed: int) -> Batches:
    pairing, output_map = material.pairing, material.output_map
    assert pairing is not None
    assert output_map is not None
    if not pairing.excerpts:
        raise InputError(
            "`chunks` are read from a text", found="captured rows alone",
            expected="`data`, a text for both backbones to read",
        )  # fmt: skip
    return ChunkBatches(
        pairing.donor.backbone, material.target, pairing.excerpts, (pairing.donor_taps, taps),
        pairing.change, output_map, material.donor_mix, seed,
    )  # fmt: skip


def _changes(
    material: Material, seed: int, *, held_out: bool = False, gain: float = 1.0
) -> Batches:
    pairing, output_map, wanted = material.pairing, material.output_map, material.wanted
    assert pairing is not None
    assert output_map is not None
    if held_out:
        pairing = dataclasses.replace(pairing, fitted=pairing.held_out)
    if held_out or wanted is None:
        wanted = want(pairing, output_map, material.mapping)
    return ChangeBatches(material.target, pairing.fitted, wanted, seed, gain)
