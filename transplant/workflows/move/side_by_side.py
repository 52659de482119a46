"""Proxy tuning: donor and target run side by side, and their log ratios are added to the logits.

The change that the donor's module, or its tuned copy, makes to the donor's logits is added to the
target's, wherever both have read up to the same character. A moved module reads the target's hidden
states instead, so this is the ceiling of a move (Liu et al., "Tuning language models by proxy",
arXiv 2401.08565).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from transplant.backbones.states import States
from transplant.backbones.view import Backbone
from transplant.calibration.changes.inside import label_losses_inside
from transplant.calibration.changes.likely import label_losses
from transplant.calibration.changes.table import WAYS
from transplant.calibration.config import MoveConfig
from transplant.calibration.large_vocabulary import LOGITS_AT_ONCE, is_large
from transplant.calibration.mapped_corrections import likely_at, vocabularies
from transplant.calibration.output_map import DonorMix, OutputMap, change_of_logits
from transplant.calibration.pairs import paired_windows, texts_between
from transplant.calibration.wanted_inside import within_tokens
from transplant.evaluation.likelihood import Corrector, Likelihood, Tally, row_losses
from transplant.modules.hosted import HostedModel
from transplant.modules.tuned import TunedDonor
from transplant.text.documents import Document
from transplant.text.offsets import match_positions, rows_before, unmatched

RAW = "raw"


@dataclass(frozen=True)
class Beside(DonorMix):
    """What is added to the target's logits where donor and target run side by side."""

    module: bool = True
    """Whether what it learned is at work."""
    elsewhere: str = RAW
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
        donor: a hosted module, or a base and a tuned copy of it.
        target: the backbone that the module would move to.
        texts: held-out text; what is longer than a backbone's context is cut.
        documents: the document that each text is of.
        output_map: the two heads.
        systems: corrections of the target by name; `None` is the raw backbone.
        ways: the weights of the sums, by name; `elsewhere` names one of `systems`. Where it is
            `raw`, and the output map has continuations, the donor's tokens go on inside them.
    """
    donor_taps, correction_of = _change(donor)
    taps = sorted({tap for one in systems.values() if one is not None for tap in one.taps})
    for one in systems.values():
        if isinstance(one, nn.Module):
            one.to(target.device)
    large = is_large(target)
    losses_of = _losses_of_likely if large else _losses_of_all
    output_map = output_map if large else output_map.to(target.device)
    tally, rows, paired = Tally([*systems, *ways]), 0, 0
    for left, right in paired_windows(donor.backbone, target, texts):
        ours = donor.backbone.read(left, donor_taps)
        theirs = target.read(right, taps).labelled()
        at_ours, at_theirs = match_positions(ours.ends, ours.windows, theirs.ends, theirs.windows)
        losses = {name: row_losses(target, theirs, one) for name, one in systems.items()}
        losses |= {name: losses[way.elsewhere].clone() for name, way in ways.items()}
        rows, paired = rows + len(theirs), paired + len(at_theirs)
        size = max(1, LOGITS_AT_ONCE // target.vocab_size) if not large else AT_ONCE
        for a, b in zip(at_ours.split(size), at_theirs.split(size), strict=True):
            both = _Block(correction_of(ours.select(a)), ours.h_last[a], theirs.select(b))
            for name, loss in losses_of(target, both, output_map, ways).items():
                losses[name][b] = loss.to(losses[name].device)
        if output_map.continuations is not None:
            unpaired = unmatched(at_theirs, len(theirs))
            b, a = rows_before(ours.ends, ours.windows, theirs.ends, theirs.windows, unpaired)
            both = _Block(correction_of(ours.select(a)), ours.h_last[a], theirs.select(b))
            read = texts_between(texts, right, theirs.windows[b], ours.ends[a], theirs.ends[b])
            for name, loss in _losses_inside(target, both, read, output_map, ways).items():
                losses[name][b] = loss.to(losses[name].device)
        owners = torch.tensor([documents[window.document] for window in right])
        tally.add(owners[theirs.windows.cpu()], losses)
    return BesideScores(tally.likelihoods(), paired / max(1, rows))


AT_ONCE = 512  # rows of a large vocabulary, of which the likely tokens are kept


@dataclass(frozen=True)
class _Block:
    """Rows that pair, one by one."""

    correction: Tensor  # the donor's [rows, d_donor]
    h_donor: Tensor  # [rows, d_donor]
    target: States


def _change(donor: HostedModel) -> tuple[tuple[int, ...], Callable[[States], Tensor]]:
    """The layers that the donor's correction is computed from, and how."""
    if isinstance(donor, TunedDonor):
        return donor.change_taps, lambda states: donor.change(states.taps).float()
    correction = donor.correction
    assert correction is not None
    return correction.taps, lambda states: correction(states.taps, states.windows).float()


def _losses_of_all(
    target: Backbone, rows: _Block, output_map: OutputMap, ways: Mapping[str, Beside]
) -> dict[str, Tensor]:
    """Of each way, the loss of each row's next token, from the logits of all tokens."""
    logits = target.head(rows.target.h_last).float()
    place = logits.device
    correction, h_donor = rows.correction.to(place), rows.h_donor.to(place)
    added = {
        (mix, module): change_of_logits(output_map, module * correction, h_donor, logits, mix)
        for mix, module in {way.ungained for way in ways.values()}
    }
    losses = {}
    for name, way in ways.items():
        changed = logits + way.gain * added[way.ungained]
        losses[name] = functional.cross_entropy(changed, rows.target.labels, reduction="none")
    return losses


def _losses_of_likely(
    target: Backbone, rows: _Block, output_map: OutputMap, ways: Mapping[str, Beside]
) -> dict[str, Tensor]:
    """The same where the vocabulary is large: all tokens that are not likely change alike."""
    between, kept = vocabularies(output_map, target), MoveConfig().likely_tokens
    h_target, labels = rows.target.h_last.cpu().float(), rows.target.labels.cpu()
    h_donor = rows.h_donor.cpu().float()
    likely, losses = {}, {}
    for module in {way.module for way in ways.values()}:
        correction = module * rows.correction.cpu()
        found = likely_at(output_map, target, h_donor, h_target, correction, kept)
        likely[module] = found, correction
    for mix, module in {way.ungained for way in ways.values()}:
        gains = {name: way.gain for name, way in ways.items() if way.ungained == (mix, module)}
        found, correction = likely[module]
        losses |= label_losses(
            found, correction, labels, between, WAYS[mix.change], mix.weights, gains
        )
    return losses


def _losses_inside(
    target: Backbone, rows: _Block, read: Sequence[str], output_map: OutputMap,
    ways: Mapping[str, Beside],
) -> dict[str, Tensor]:  # fmt: skip
    """Of each way that leaves such rows to the raw target, their losses as the donor goes on."""
    ways = {name: way for name, way in ways.items() if way.elsewhere == RAW}
    labels, kept = rows.target.labels.cpu(), MoveConfig().likely_tokens
    losses = {name: torch.zeros(len(labels)) for name in ways}
    if not len(labels):
        return losses
    states = rows.h_donor.cpu().float(), rows.correction.cpu(), rows.target.h_last.cpu().float()
    texts = [text.encode() for text in read]
    for block, within, heads in within_tokens(output_map, target, *states, kept):
        for mix, module in {way.ungained for way in ways.values()}:
            gains = {name: way.gain for name, way in ways.items() if way.ungained == (mix, module)}
            learned = dataclasses.replace(within, correction=module * within.correction)
            found = label_losses_inside(
                learned, texts[block], labels[block], heads, WAYS[mix.change], mix.weights, gains,
                likely=kept,
            )  # fmt: skip
            for name, loss in found.items():
                losses[name][block] = loss
    return losses
