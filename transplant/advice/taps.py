"""How well the layers of one backbone can be read from those of another, on held-out text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.alignment.between import Fit, fit_between
from transplant.backbones.core import CoreBackbone
from transplant.backbones.view import Backbone
from transplant.calibration.columns import columns_for
from transplant.calibration.config import MoveConfig
from transplant.calibration.paired_rows import PairedRows
from transplant.calibration.pairs import PairedText, pair_text
from transplant.modules.core import core_interface
from transplant.modules.interface import Interface
from transplant.text.documents import Document


@dataclass(frozen=True)
class TapPair:
    """A layer of the donor, predicted from one of the target."""

    donor: int
    target: int
    r2: float
    """Share of the donor layer's variance, on held-out pairs."""
    cosine: float
    """Mean cosine of the prediction with the donor's state, there."""


@dataclass(frozen=True)
class Alignment:
    """All pairs of layers, and what a move's input map would have to go by."""

    pairs: tuple[TapPair, ...]
    r2: float
    """Of the layer that the donor's modules read, from all measured layers of the target."""
    cosine: float
    shared_cosine: float | None
    """Of two cores with one d_abi: the mean cosine of z, as the cores are, without a map."""
    rows: int
    held_out: int
    paired_share: float


def measure_alignment(
    donor: Backbone,
    target: Backbone,
    excerpts: Sequence[Document],
    held_out: Sequence[Document],
    most: int,
) -> Alignment:
    """Ridge from every layer of the target to every layer of the donor, judged on held-out pairs.

    At most `most` layers of each side are read, evenly spread and the last among them.

    Raises:
        CorpusError: not one position pairs.
    """
    ours, theirs = spread_taps(donor, most), spread_taps(target, most)
    fitted = pair_text(donor, target, excerpts, ours, theirs)
    judged = pair_text(donor, target, held_out, ours, theirs)

    def one(ours: int, theirs: int) -> TapPair:
        fit = _fit(fitted, judged, ours, theirs)
        return TapPair(ours, theirs, fit.r2, fit.cosine[1])

    interface, read = Interface(target.d_model, 1, theirs), read_tap(donor)
    states = [batch.donor.taps[read].float() for batch in fitted.batches]
    columns = columns_for(interface, fitted, states, MoveConfig())
    whole = _fit(fitted, judged, read, lambda batch: columns.read(interface, batch))
    return Alignment(
        tuple(one(a, b) for a in ours for b in theirs),
        whole.r2,
        whole.cosine[1],
        _shared_cosine(donor, target, judged),
        whole.pairs,
        whole.held_out,
        fitted.paired_share,
    )


def read_tap(backbone: Backbone) -> int:
    """The layer that domain modules read where nothing else is said."""
    return backbone.before_abi if isinstance(backbone, CoreBackbone) else backbone.n_layers


def spread_taps(backbone: Backbone, most: int) -> tuple[int, ...]:
    """At most `most` layers, evenly spread, the one that modules read among them."""
    taps = [tap for tap in backbone.all_taps if tap <= read_tap(backbone)]
    if len(taps) <= most:
        return tuple(taps)
    places = torch.linspace(0, len(taps) - 1, max(2, most)).round().long().tolist()
    return tuple(sorted({taps[place] for place in places[-most:]}))


def _fit(
    fitted: PairedText, judged: PairedText, donor: int, target: int | Callable[[PairedRows], Tensor]
) -> Fit:
    def rows(text: PairedText) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in text.batches:
            x = batch.target.taps[target] if isinstance(target, int) else target(batch)
            yield x.detach().float(), batch.donor.taps[donor].float()

    return fit_between(rows(fitted), rows(judged), "ridge")


@torch.no_grad()
def _shared_cosine(donor: Backbone, target: Backbone, judged: PairedText) -> float | None:
    if not (isinstance(donor, CoreBackbone) and isinstance(target, CoreBackbone)):
        return None
    if donor.d_abi != target.d_abi:
        return None
    ours, theirs = (core_interface(core).float() for core in (donor, target))
    cosines = [
        torch.cosine_similarity(
            ours.read_in(batch.donor.taps), theirs.read_in(batch.target.taps), dim=-1
        )
        for batch in judged.batches
    ]
    return float(torch.cat(cosines).mean())
