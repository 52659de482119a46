"""General part of a donor's change: that of a module trained on general text in the same donor.

Part of what a module of a domain learned mends the donor on any text, and a target may not need it.
The change of the domain's module is compared with that of a general one, at the same positions: by
the variance that a multiple of the general change explains, and by the nats of the domain's text
that the general module gains by itself. (Task vectors and their differences: Ilharco et al.,
arXiv 2212.04089; here of logits, not of weights.)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transplant.backbones.split_head import ROWS, SplitHead
from transplant.calibration.pairs import PairedText
from transplant.evaluation.evidence import NATIVE, RAW, Ceiling
from transplant.evaluation.intervals import Interval
from transplant.evaluation.likelihood import Likelihood, System, score_documents
from transplant.modules.correction import Correction
from transplant.modules.hosted import HostedModel
from transplant.modules.tuned import TunedDonor
from transplant.text.windows import Window

Change = Callable[[Mapping[int, Tensor]], Tensor]
"""From taps to a correction [rows, d_donor]."""
COMPARED = 1_000  # paired rows, spread over all
LEAST = 1e-12


@dataclass(frozen=True)
class General:
    """A module of general text on the donor's backbone, and how much of it is taken away."""

    name: str
    correction: Correction
    """On the CPU, where the fits run."""
    weight: float = 0.0
    """1 for the change of the domain less that of general text; 0 to compare the two alone."""

    def taken_from(self, change: Tensor, taps: Mapping[int, Tensor]) -> Tensor:
        """The donor's correction [rows, d_donor] less so much of the general one."""
        return change - self.weight * self.correction(taps) if self.weight else change


@dataclass(frozen=True)
class GeneralShare:
    """How much of a donor's change is general."""

    variance: float
    """Of the change of logits, the share that a multiple of the general one explains."""
    slope: float
    """That multiple."""
    nats: Interval | None
    """The gain of the general module on the domain's text, as a share of the whole one's; None
    where the latter gains nothing there."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        nats = None if self.nats is None else self.nats.mean
        bounds = None if self.nats is None else self.nats.as_list()
        return {"variance": self.variance, "slope": self.slope, "nats": nats, "interval": bounds}


@torch.no_grad()
def share_of_variance(
    paired: PairedText, whole: Change, general: General, head: SplitHead
) -> tuple[float, float]:
    """The share of the change of logits that a multiple of the general one explains, and that.

    With d and g the two changes at a position, each less its mean under p0, the donor without what
    it learned: (sum p0 d g)^2 / (sum p0 d^2 sum p0 g^2), summed over positions and tokens.

    Args:
        paired: the paired rows, with the layers that both changes read.
        whole: the donor's correction from its taps.
        general: the general module.
        head: of the donor.
    """
    sums = torch.zeros(3, dtype=torch.float64)
    every = max(1, paired.rows // COMPARED)
    for batch in paired.batches:
        some = batch.donor.select(torch.arange(0, len(batch), every))
        changes = whole(some.taps).float(), general.correction(some.taps).float()
        for h, d, g in zip(*(x.split(ROWS) for x in (some.h_last, *changes)), strict=True):
            p0 = head.of_all(h).softmax(1)
            d, g = (_centred(head.change_of_all(h, change), p0) for change in (d, g))
            sums += torch.stack([(p0 * a * b).sum() for a, b in ((d, g), (d, d), (g, g))]).double()
    both, of_whole, of_general = sums.tolist()
    return both**2 / max(of_whole * of_general, LEAST), both / max(of_general, LEAST)


def share_of_nats(
    donor: HostedModel, general: General, windows: Sequence[Window], *, seed: int = 0
) -> Interval | None:
    """(nats_raw - nats_general) / (nats_raw - nats_donor) in the donor, documents resampled whole.

    Args:
        donor: with what it learned of the domain.
        general: the general module on the same backbone.
        windows: of the domain, in the donor's tokens.
        seed: of the bootstrap.

    Returns:
        None where the donor itself gains nothing, as far as the interval of its gain tells.
    """
    base = donor.pair.base if isinstance(donor, TunedDonor) else donor.backbone
    # A copy: scoring moves what it scores to where the backbone is.
    systems: dict[str, System] = {"raw": None, "general": copy.deepcopy(general.correction)}
    if isinstance(donor, TunedDonor):
        tuned = donor.pair.tuned
        scored: dict[str, Likelihood] = score_documents(base, windows, systems)
        scored |= score_documents(tuned.backbone, windows, {"whole": tuned})
    else:
        scored = score_documents(base, windows, {**systems, "whole": donor.corrector})
    found = {RAW: scored["raw"], NATIVE: scored["whole"], "general": scored["general"]}
    return Ceiling(found, seed).recovered("general")


def _centred(change: Tensor, weights: Tensor) -> Tensor:
    return change - (weights * change).sum(1, keepdim=True)
