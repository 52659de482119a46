"""Repair after an update: the interface is solved for again against the old z, without a gradient.

Same tokenizer, same positions: the rows of the backbone before and after pair one to one. Each fit
is a ridge regression around what the interface already does: where nothing has moved, nothing
changes, however few the rows. How strong the ridge is, positions decide that it was not fitted on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap
from transplant.alignment.ridge import fit_ridge
from transplant.backbones.view import Backbone
from transplant.calibration.config import RepairConfig
from transplant.calibration.memory_needs import SQUARES
from transplant.calibration.repair_heads import map_output
from transplant.calibration.repair_output import TriedOutput, refit_to_changes
from transplant.calibration.repair_rows import Pairs, choose_windows, hold_out, read_both
from transplant.errors import InputError
from transplant.memory import check_memory
from transplant.modules.correction import Correction
from transplant.modules.domain import DomainModule
from transplant.modules.interface import Interface
from transplant.text.windows import Window


@dataclass(frozen=True)
class Repaired:
    """The module behind a repaired interface, and how far off z was before and after."""

    correction: Correction
    z_off_before: float
    """Mean squared distance of z to the old z, on held-out positions of the shared text."""
    z_off_after: float
    """The same through the repaired interface."""
    rows: int
    """Positions that it was fitted on."""
    ridge: float
    """The strength that held-out positions chose for `P_in`."""
    ridge_out: float | None
    """The same for `P_out`."""
    tried: tuple[TriedOutput, ...]
    """Output maps that the domain's calibration split chose from; the least loss was kept."""


@torch.no_grad()
def repair(
    before: Backbone,
    after: Backbone,
    correction: Correction,
    shared: Sequence[Window],
    config: RepairConfig,
    counts: Mapping[str, int] | None = None,
    calibration: Sequence[Window] = (),
    stand_in: DomainModule | None = None,
) -> Repaired:
    """Fits `P_in` to the old `t P_in` and `P_out` to the old correction, as the new head sees it.

    Args:
        before: the backbone that the interface was made for.
        after: the same after an update: same widths, same tokenizer.
        correction: interface and module; copied, the module bit for bit.
        shared: text to choose from; none of the domain's is needed.
        config: what is tried.
        counts: the domain's token counts, which travel with the module: shared text that looks
            like the domain is read first, and the map between the two heads is fitted for these
            tokens. Without them every window and token counts alike.
        calibration: windows of the domain's calibration split, which choose an output map for
            what the updated backbone shall say; none: the old correction is all that is wanted.
        stand_in: a module to put in the old one's place behind the repaired interface, its output
            map fitted to what the old one did: what a control needs.

    Raises:
        InputError: backbones of other widths or tokenizers, or a module that reads windows.
        MemoryLimitError: the interface reads more than a fit of its input map has memory for.
    """
    check_repairable(before, after, correction)
    width = correction.interface.proj_in.in_features
    check_memory(
        "the repair",
        {
            "moments": 8 * SQUARES * width * width,
            "rows": 2 * 4 * config.tokens * (width + before.d_model),
        },
        "an interface that reads fewer layers",
    )
    old = copy.deepcopy(correction).cpu().eval()
    new = copy.deepcopy(old)
    chosen = choose_windows(before, shared, counts or {}, config.tokens)
    pairs, held = (
        read_both(before, after, old, side) for side in hold_out(chosen, config.held_out)
    )
    ridge = _refit_input(old.interface, new.interface, pairs, held, config)
    ridge_out, tried = None, ()
    if stand_in is not None:
        new = Correction(new.interface, stand_in).eval()
    if config.output:
        map_output(before, after, new.interface.proj_out, config.output_ridge, counts or {})
        ridge_out = _refit_output(old, new, pairs, held, config)
        if calibration and config.words:
            new, tried = refit_to_changes(before, after, old, new, pairs, calibration, config)
    off = [_z_off(old.interface, one.interface, held) for one in (old, new)]
    return Repaired(
        new.requires_grad_(False), off[0], off[1], sum(map(len, pairs)), ridge, ridge_out, tried
    )


def check_repairable(before: Backbone, after: Backbone, correction: Correction) -> None:
    """Refuses what does not pair one to one.

    Raises:
        InputError: backbones of other widths or tokenizers, or a module that reads windows.
    """
    for what, ours, theirs in (
        ("d_model", before.d_model, after.d_model),
        ("layers", before.n_layers, after.n_layers),
        ("tokenizer", before.tokenizer_sha256[:12], after.tokenizer_sha256[:12]),
    ):
        if ours != theirs:
            raise InputError(
                f"an update does not change {what}", expected=ours, found=theirs,
                hint="`transfer()` moves a module to another backbone",
            )  # fmt: skip
    if correction.module.reads_windows:
        raise InputError(
            "a module that reads whole windows cannot be repaired position by position",
            expected="one trained with an interface",
        )


def _refit_input(
    old: Interface,
    new: Interface,
    pairs: Sequence[Pairs],
    held: Sequence[Pairs],
    config: RepairConfig,
) -> float:
    """Adds to `P_in` what is missing of the old `t P_in`; returns the strength that was chosen."""
    proj_in = new.proj_in
    moments = CrossMoments(proj_in.in_features, proj_in.out_features)
    for rows in pairs:
        moments.update(rows.t_after, proj_in(rows.t_before) - proj_in(rows.t_after))

    def off(change: AffineMap) -> float:
        tried = copy.deepcopy(new)
        _add(tried.proj_in, change)
        return _z_off(old, tried, held)

    return _add_best(proj_in, moments, config.ridges, off)


def _refit_output(
    old: Correction,
    new: Correction,
    pairs: Sequence[Pairs],
    held: Sequence[Pairs],
    config: RepairConfig,
) -> float:
    """Adds to `P_out` what the module's new outputs miss of the old correction; as above."""
    proj_out = new.interface.proj_out

    def moments_of(side: Sequence[Pairs]) -> CrossMoments:
        moments = CrossMoments(proj_out.in_features, proj_out.out_features)
        for rows in side:
            wanted = old.module.y(old.interface.normed(rows.t_before))
            found = new.module.y(new.interface.normed(rows.t_after))
            moments.update(found, proj_out(wanted) - proj_out(found))
        return moments

    judged = moments_of(held)
    return _add_best(proj_out, moments_of(pairs), config.ridges, lambda change: -change.r2(judged))


def _add_best(
    linear: nn.Linear,
    moments: CrossMoments,
    strengths: Sequence[float],
    off: Callable[[AffineMap], float],
) -> float:
    """Adds the ridge regression that is least far off; returns its strength."""
    changes = {strength: fit_ridge(moments, strength) for strength in strengths}
    best = min(strengths, key=lambda strength: off(changes[strength]))
    _add(linear, changes[best])
    return best


def _z_off(old: Interface, new: Interface, held: Sequence[Pairs]) -> float:
    """The mean squared distance of z through `new` to the old z."""
    total = sum(
        float(nn.functional.mse_loss(new.normed(rows.t_after), old.normed(rows.t_before)))
        * len(rows)
        for rows in held
    )
    return total / sum(map(len, held))


def _add(linear: nn.Linear, change: AffineMap) -> None:
    linear.weight.add_(change.weight.T)
    linear.bias.add_(change.bias)
