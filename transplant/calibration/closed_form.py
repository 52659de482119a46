"""Align out, in closed form: output maps solved for the corrections that are wanted.

Nothing here is trained: each map is the solution of a linear system. Nothing reads the target's
domain text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap
from transplant.alignment.logits import fit_to_changes
from transplant.alignment.ridge import fit_ridge
from transplant.calibration.columns import columns_for
from transplant.calibration.config import MoveConfig
from transplant.calibration.mapped_corrections import MappedCorrections
from transplant.calibration.pairs import PairedText
from transplant.calibration.wanted_inside import WantedInside
from transplant.modules.correction import Correction
from transplant.modules.domain import DomainModule
from transplant.modules.interface import Interface
from transplant.modules.linear import LinearCorrection
from transplant.ranks import Ranks, current


@torch.no_grad()
def fit_module_output(
    reading: Interface,
    module: DomainModule,
    paired: PairedText,
    wanted: MappedCorrections,
    config: MoveConfig,
) -> Correction:
    """Refits `P_out` on the module's own outputs, seen through the interface that reads for it.

    Args:
        reading: an interface whose input side is fitted; it is copied, not changed.
        module: the domain module, of the donor or a random one.
        paired: the paired rows.
        wanted: what the corrections should be.
        config: the strengths.
    """
    interface = Interface.from_tensors(reading.state_dict(), reading.taps)
    correction = Correction(interface, module).requires_grad_(False).eval()

    _fit_output(correction.output, interface.proj_out, paired, wanted, config)
    return correction


@torch.no_grad()
def fit_linear_surrogate(
    reading: Interface, paired: PairedText, wanted: MappedCorrections, config: MoveConfig
) -> LinearCorrection:
    """Maps the target's taps straight to what is wanted: what needs no module at all."""
    columns = columns_for(reading, paired, wanted.corrections, config)
    surrogate = LinearCorrection(reading, columns.bases).requires_grad_(False).eval()

    _fit_output(
        surrogate.gather, surrogate.proj_out, paired, wanted, config, intercept=config.intercept
    )
    return surrogate


def _fit_output(
    read: Callable[[Mapping[int, Tensor]], Tensor],
    proj_out: nn.Linear,
    paired: PairedText,
    wanted: MappedCorrections,
    config: MoveConfig,
    *,
    intercept: bool = True,
) -> None:
    """First to the mapped corrections, then to the changes of logits that they are meant to make.

    Rows inside donor tokens, where they were kept, are among the latter. Of several processes each
    goes through the batches that are its turn.

    Args:
        read: from the target's taps to features [rows, d_features].
        proj_out: takes the solution.
        paired: the paired rows.
        wanted: what the corrections should be.
        config: the strengths.
        intercept: whether the map has a constant.
    """
    ranks = current()
    mine = ranks.turns(len(paired.batches))
    within = wanted.inside or [None] * len(mine)
    features, inside = _read_all(read, paired, mine, within)
    start = _first_guess(features, [wanted.corrections[n] for n in mine], proj_out, config,
                         intercept=intercept, ranks=ranks)  # fmt: skip
    changes = [*wanted.changes, *(more.change for more in within if more is not None)]
    fit_to_changes(
        _handed_over(features, inside), changes, wanted.output_map.head, start,
        strength=config.logit_ridge, iterations=config.iterations, intercept=intercept,
        ranks=ranks,
    ).write_to(proj_out)  # fmt: skip


def _read_all(
    read: Callable[[Mapping[int, Tensor]], Tensor], paired: PairedText, mine: Sequence[int],
    within: Sequence[WantedInside | None],
) -> tuple[list[Tensor], list[Tensor]]:  # fmt: skip
    """The features at the pairs of each batch, and at its rows inside donor tokens."""
    features, inside = [], []
    for number, more in zip(mine, within, strict=True):
        batch = paired.batches[number]  # it may be read from a file: no two of them are held
        features.append(read(batch.target.taps))
        if more is not None and batch.inside is not None:
            inside.append(read(batch.inside.target.taps))
    return features, inside


def _first_guess(
    features: Sequence[Tensor], corrections: Sequence[Tensor], proj_out: nn.Linear,
    config: MoveConfig, *, intercept: bool, ranks: Ranks,
) -> AffineMap:  # fmt: skip
    """The map to the mapped corrections; its moments are gone once it is fitted."""
    moments = CrossMoments(proj_out.in_features, proj_out.out_features)
    for rows, wanted in zip(features, corrections, strict=True):
        moments.update(rows, wanted)
    moments.add_up(ranks)
    return fit_ridge(moments, config.ridge, intercept=intercept)


def _handed_over(*parts: list[Tensor]) -> Iterator[Tensor]:
    """The tensors of some lists in turn; the lists hold them no longer."""
    for part in parts:
        while part:
            yield part.pop(0)
