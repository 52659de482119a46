"""The columns of the target's taps that a fit reads, within the budget of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.activations.covariance import TapCovariance
from transplant.activations.moments import CrossMoments
from transplant.alignment.basis import TapBases
from transplant.alignment.choose_taps import choose_taps
from transplant.alignment.fit_bases import (
    Rows,
    fit_leading,
    leading_directions,
    moments_in,
    used_directions,
)
from transplant.calibration.config import MoveConfig
from transplant.calibration.paired_rows import PairedRows
from transplant.calibration.pairs import PairedText
from transplant.errors import InputError
from transplant.modules.interface import Interface
from transplant.ranks import current

AT_ONCE = 512  # rows of all taps
OUTPUTS = 256  # directions of y that choose columns: those of a wider one with the most variance

Wanted = Callable[[int, PairedRows], Tensor]
"""y [rows, q] of a batch, by its number."""


@dataclass(frozen=True)
class Columns:
    """Which of the taps are read, and through which bases; None: all columns of each."""

    taps: tuple[int, ...]
    bases: TapBases | None = None

    def read(self, interface: Interface, states: PairedRows) -> Tensor:
        """x [rows, columns] of the target's side of paired rows, for an interface of these taps."""
        if self.bases is None:
            return interface.gather(states.target.taps)
        blocks = [self.bases(taps) for taps, _ in _blocks(interface, states)]
        return torch.cat(blocks)


def choose_columns(
    interface: Interface, paired: PairedText, held_out: PairedText, y: Wanted, config: MoveConfig
) -> Columns:
    """All columns where the budget allows it, else some taps, each through a basis.

    Taps are chosen on `held_out`, which is of the calibration split; bases on `paired`.

    Args:
        interface: reads all taps that may be read; of it only taps and their norms are used.
        paired: the rows to fit on.
        held_out: the rows to judge on.
        y: what the fit is to predict.
        config: the budget and the ridge strength.

    Raises:
        InputError: a budget below one column of each tap.
    """
    if _fits(interface, config):
        return Columns(interface.taps)
    rows = _rows(interface, paired, y)
    leading = fit_leading(
        rows, leading_directions(rows, _share(interface, config), config.seed), config.ridge
    )
    held = moments_in(_rows(interface, held_out, y), leading.bases)
    kept = choose_taps(leading.moments, held, leading.bases.sizes, leading.ridge)
    taps = tuple(interface.taps[number] for number in kept)
    if len(taps) * interface.d_model <= config.columns:
        return Columns(taps)
    fewer = _rows(interface, paired, y, kept)
    return Columns(taps, used_directions(fewer, leading.keeping(kept), config.columns))


@torch.no_grad()
def columns_for(
    interface: Interface, paired: PairedText, y: Sequence[Tensor], config: MoveConfig
) -> Columns:
    """The same with the taps that an interface reads, for another y.

    Args:
        interface: its taps are read.
        paired: the rows to fit on.
        y: [rows, q] of each batch. Of a wide one the directions of the most variance decide.
        config: the budget and the ridge strength.
    """
    if _fits(interface, config):
        return Columns(interface.taps)
    width = y[0].shape[1]
    if width > OUTPUTS:
        covariance = TapCovariance(width, OUTPUTS, config.seed)
        for block in y:
            covariance.update(block)
        onto = covariance.directions(OUTPUTS).vectors.float()
        y = [block @ onto for block in y]
    rows = _rows(interface, paired, lambda number, _: y[number])
    directions = leading_directions(rows, _share(interface, config), config.seed)
    leading = fit_leading(rows, directions, config.ridge)
    return Columns(interface.taps, used_directions(rows, leading, config.columns))


def column_moments(
    columns: Columns, interface: Interface, paired: PairedText, y: Wanted
) -> CrossMoments:
    """The second moments of y with the columns, for an interface of their taps."""
    rows = _rows(interface, paired, y)
    if columns.bases is not None:
        return moments_in(rows, columns.bases)
    ranks = current()
    moments = CrossMoments(interface.proj_in.in_features, y(0, paired.batches[0]).shape[1])
    for number in ranks.turns(len(paired.batches)):
        batch = paired.batches[number]
        moments.update(interface.gather(batch.target.taps), y(number, batch))
    moments.add_up(ranks)
    return moments


def _fits(interface: Interface, config: MoveConfig) -> bool:
    return interface.proj_in.in_features <= config.columns


def _share(interface: Interface, config: MoveConfig) -> int:
    share = config.columns // len(interface.taps)
    if share < 1:
        raise InputError(
            "`columns` is less than one for each tap",
            expected=f"{len(interface.taps)} or more, or fewer `taps`",
            found=config.columns,
        )
    return share


def _rows(
    interface: Interface, paired: PairedText, y: Wanted, taps: Sequence[int] | None = None
) -> Rows:
    """The taps of an interface, or those of some numbers, and y, block by block."""
    chosen = range(len(interface.taps)) if taps is None else taps

    def blocks() -> Iterator[tuple[Sequence[Tensor], Tensor]]:
        for number, batch in enumerate(paired.batches):
            wanted = y(number, batch)
            for states, place in _blocks(interface, batch, chosen):
                yield states, wanted[place]

    return blocks


def _blocks(
    interface: Interface, batch: PairedRows, taps: Iterable[int] | None = None
) -> Iterator[tuple[Sequence[Tensor], slice]]:
    """The target's side of a batch, `AT_ONCE` rows at a time, normed as the interface norms it."""
    chosen = [*(range(len(interface.taps)) if taps is None else taps)]
    for start in range(0, len(batch), AT_ONCE):
        place = slice(start, start + AT_ONCE)
        with torch.no_grad():
            some = batch.target.select(place).taps
            states = [
                interface.tap_state({tap: some[tap].float()}, number)
                for number in chosen
                for tap in (interface.taps[number],)
            ]
        yield states, place
