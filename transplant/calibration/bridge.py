"""Align in: the map from the target's taps to what the donor's module is used to seeing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap
from transplant.alignment.procrustes import fit_principal, fit_procrustes
from transplant.alignment.ridge import fit_ridge
from transplant.backbones.view import Backbone
from transplant.calibration.columns import Columns, choose_columns, column_moments
from transplant.calibration.config import MoveConfig
from transplant.calibration.paired_rows import PairedRows
from transplant.calibration.pairs import PairedText
from transplant.modules.correction import Correction
from transplant.modules.interface import Interface

WORTH = 0.005  # of R2: what a stronger ridge must explain more, so that a tie changes nothing


@dataclass(frozen=True)
class BridgeQuality:
    """How well z is reproduced on excerpts that the fit has not seen."""

    r2: float
    """Share of the variance of the donor's `t P_in` that is explained."""
    cosine_before: float
    """Mean cosine between the donor's z and that of an unfitted interface."""
    cosine_after: float
    """Mean cosine between the donor's z and the fitted one."""
    pairs: int
    """Paired positions fitted on."""
    held_out_pairs: int
    """Paired positions judged on."""
    paired_share: float
    """Share of the target's positions that paired."""
    ridge: float | None = None
    """The strength that was chosen; None of `procrustes`, and of what an older version stored."""


@dataclass(frozen=True)
class Bridge:
    """An interface that reads the donor's z from the target; it writes nothing yet."""

    interface: Interface
    quality: BridgeQuality


def fit_bridge(
    donor: Correction,
    target: Backbone,
    paired: PairedText,
    held_out: PairedText,
    config: MoveConfig,
) -> Bridge:
    """Fits `P_in` of a new interface so that it reads what the donor's own interface reads.

    The regression goes to `t_donor P_in`, before the donor's LayerNorm, which is copied: where the
    map is linear, fitting that is fitting the donor's taps and folding its `P_in`. The fewer rows
    there are for its columns, the more it must be shrunk; the held-out rows choose how much.

    Args:
        donor: the donor's interface and module.
        target: the backbone that the module moves to.
        paired: the rows to fit on.
        held_out: the rows to judge on.
        config: taps, method and ridge strength.
    """

    def wanted(_: int, batch: PairedRows) -> Tensor:
        return donor_input(donor, batch.donor.taps)

    with torch.no_grad():
        interface = empty_interface(donor, target, config)
        before = _cosine(interface, donor, held_out)
        columns = choose_columns(interface, paired, held_out, wanted, config)
        if columns.taps != interface.taps:
            interface = _reading(columns.taps, len(interface.tap_norms) > 0, donor, target, config)
        moments = column_moments(columns, interface, paired, wanted)
        judged = column_moments(columns, interface, held_out, wanted)
        if config.method == "ridge":
            ridge, fitted = _shrunk(moments, judged, config)
        else:
            ridge, fitted = None, _rotated(moments, interface, columns, paired, donor)
        whole = fitted if columns.bases is None else columns.bases.folded(fitted)
        whole.write_to(interface.proj_in)
        after = _cosine(interface, donor, held_out)
    quality = BridgeQuality(
        r2=fitted.r2(judged),
        cosine_before=before,
        cosine_after=after,
        pairs=paired.rows,
        held_out_pairs=held_out.rows,
        paired_share=paired.paired_share,
        ridge=ridge,
    )
    return Bridge(interface.requires_grad_(False).eval(), quality)


def empty_interface(donor: Correction, target: Backbone, config: MoveConfig) -> Interface:
    """An interface of the target with random `P_in`, zero `P_out` and the donor's z norm."""
    taps = target.check_taps(config.taps or target.all_taps)
    return _reading(taps, config.tap_norms, donor, target, config)


def _reading(
    taps: tuple[int, ...],
    tap_norms: bool | None,
    donor: Correction,
    target: Backbone,
    config: MoveConfig,
) -> Interface:
    generator = torch.Generator().manual_seed(config.seed)
    interface = Interface(
        target.d_model, donor.module.d_abi, taps, tap_norms=tap_norms, generator=generator
    )
    interface.abi_norm.load_state_dict(donor.interface.abi_norm.state_dict())
    return interface


def _shrunk(
    moments: CrossMoments, judged: CrossMoments, config: MoveConfig
) -> tuple[float, AffineMap]:
    """The ridge strength, times larger ones while held-out rows ask for them, and its solution."""
    strength, fitted = config.ridge, fit_ridge(moments, config.ridge)
    for factor in sorted(config.stronger_ridges):
        stronger = fit_ridge(moments, config.ridge * factor)
        if stronger.r2(judged) < fitted.r2(judged) + WORTH:
            break
        strength, fitted = config.ridge * factor, stronger
    return strength, fitted


def _rotated(
    moments: CrossMoments,
    interface: Interface,
    columns: Columns,
    paired: PairedText,
    donor: Correction,
) -> AffineMap:
    """The principal directions, and a rotation of them; together one affine map."""
    principal = fit_principal(moments, interface.d_abi)
    inner = CrossMoments(interface.d_abi, interface.d_abi)
    for batch in paired.batches:
        inner.update(
            principal(columns.read(interface, batch)), donor_input(donor, batch.donor.taps)
        )
    rotation = fit_procrustes(inner).as_affine()
    return AffineMap(
        principal.weight @ rotation.weight, principal.bias @ rotation.weight + rotation.bias
    )


def donor_input(donor: Correction, taps: dict[int, Tensor]) -> Tensor:
    """`t P_in` of the donor [rows, d_abi], before its LayerNorm."""
    return donor.interface.proj_in(donor.interface.gather(taps))


def _cosine(interface: Interface, donor: Correction, paired: PairedText) -> float:
    total = 0.0
    for batch in paired.batches:
        ours = interface.read_in(batch.target.taps)
        theirs = donor.interface.read_in(batch.donor.taps)
        total += nn.functional.cosine_similarity(ours, theirs, dim=-1).sum().item()
    return total / paired.rows
