"""Proxy tuning: donor and target run side by side, and their log ratios are added to the logits.

The change that the donor's module makes to the donor's logits is added to the target's, wherever
both have read up to the same character. A moved module reads the target's hidden states instead, so
this is the ceiling of a move (Liu et al., "Tuning language models by proxy", arXiv 2401.08565).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from transplant.backbones.view import Backbone, States
from transplant.calibration.output_map import LOGITS_AT_ONCE, DonorMix, OutputMap, change_of_logits
from transplant.calibration.pairs import paired_windows
from transplant.evaluation.likelihood import Corrector, Likelihood, Tally, row_losses
from transplant.modules.hosted import HostedModel
from transplant.text.documents import Document
from transplant.text.offsets import match_positions


@dataclass(frozen=True)
class Beside(DonorMix):
    """What is added to the target's logits where donor and target run side by side."""

    module: bool = True
    """Whether its module is at work."""
    elsewhere: str = "raw"
    """The system that predicts where no token of the donor ends."""

    @property
    def ungained(self) -> tuple[DonorMix, bool]:
        """What the added change is computed from; the gain is a factor on it."""
        return DonorMix(self.raw_weight, 1.0, self.change, self.shrink), self.module


@dataclass(frozen=True)
class BesideScores:
    """Likelihoods of systems, and of a donor beside the target, on the same text."""

    likelihoods: dict[str, Likelihood]
    paired_share: float
    """The share of the predicted tokens at which the donor had read as far."""


@torch.no_grad()
def score_beside(
    donor: HostedModel,
    target: Backbone,
    texts: Sequence[Document],
    documents: Sequence[int],
    output_map: OutputMap,
    systems: Mapping[str, Corrector | None],
    ways: Mapping[str, Beside],
) -> BesideScores:
    """Scores systems, and sums of the donor's and the target's logits, on the same text.

    Args:
        donor: a hosted module.
        target: the backbone that the module would move to.
        texts: held-out text; what is longer than a backbone's context is cut.
        documents: the document that each text is of.
        output_map: the two heads.
        systems: corrections of the target by name; `None` is the raw backbone.
        ways: the weights of the sums, by name; `elsewhere` names one of `systems`.
    """
    assert donor.correction is not None
    taps = sorted({tap for one in systems.values() if one is not None for tap in one.taps})
    for one in systems.values():
        if isinstance(one, nn.Module):
            one.to(target.device)
    output_map = output_map.to(target.device)
    tally, rows, paired = Tally([*systems, *ways]), 0, 0
    for left, right in paired_windows(donor.backbone, target, texts):
        ours = donor.backbone.read(left, donor.correction.taps)
        theirs = target.read(right, taps).labelled()
        at_ours, at_theirs = match_positions(ours.ends, ours.windows, theirs.ends, theirs.windows)
        losses = {name: row_losses(target, theirs, one) for name, one in systems.items()}
        losses |= {name: losses[way.elsewhere].clone() for name, way in ways.items()}
        rows, paired = rows + len(theirs), paired + len(at_theirs)
        size = max(1, LOGITS_AT_ONCE // target.vocab_size)
        for a, b in zip(at_ours.split(size), at_theirs.split(size), strict=True):
            both = ours.select(a), theirs.select(b)
            for name, loss in _losses_beside(donor, target, *both, output_map, ways).items():
                losses[name][b] = loss
        owners = torch.tensor([documents[window.document] for window in right])
        tally.add(owners[theirs.windows.cpu()], losses)
    return BesideScores(tally.likelihoods(), paired / max(1, rows))


def _losses_beside(
    donor: HostedModel,
    target: Backbone,
    ours: States,
    theirs: States,
    output_map: OutputMap,
    ways: Mapping[str, Beside],
) -> dict[str, Tensor]:
    """Of rows that pair, one by one."""
    assert donor.correction is not None
    correction = donor.correction(ours.taps, ours.windows).float()
    logits = target.head(theirs.h_last).float()
    added = {
        (mix, module): change_of_logits(output_map, module * correction, ours.h_last, logits, mix)
        for mix, module in {way.ungained for way in ways.values()}
    }
    losses = {}
    for name, way in ways.items():
        changed = logits + way.gain * added[way.ungained]
        losses[name] = functional.cross_entropy(changed, theirs.labels, reduction="none")
    return losses
