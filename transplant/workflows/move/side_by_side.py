"""Proxy tuning: donor and target run side by side, and their log ratios are added to the logits.

The change that the donor's module, or its tuned copy, makes to the donor's logits is added to the
target's, wherever both have read up to the same character; of several donors the mean change, where
all have. A moved module reads the target's hidden states instead, so this is the ceiling of a move
(Liu et al., "Tuning language models by proxy", arXiv 2401.08565).
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
from transplant.calibration.likely_rows import likely_at, vocabularies
from transplant.calibration.output_map import DonorMix, OutputMap, change_of_logits
from transplant.calibration.wanted_inside import within_tokens
from transplant.calibration.windows_together import texts_between, windows_together
from transplant.evaluation.likelihood import Inside, Likelihood, System, Tally, row_losses
from transplant.modules.hosted import HostedModel
from transplant.modules.panel import Panel
from transplant.modules.tuned import TunedDonor
from transplant.text.documents import Document
from transplant.text.offsets import common_rows, match_positions, rows_before, unmatched
from transplant.text.windows import Window

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
    systems: Mapping[str, System],
    ways: Mapping[str, Beside],
) -> BesideScores:
    """Scores systems, and sums of the donor's and the target's logits, on the same text.

    Args:
        donor: a hosted module, a base and a tuned copy of it, or several of these.
        target: the backbone that the module would move to.
        texts: held-out text; what is longer than a backbone's context is cut.
        documents: the document that each text is of.
        output_map: the two heads, or of several donors all of them.
        systems: what is at work in the target, by name; `None` is the raw backbone.
        ways: the weights of the sums, by name; `elsewhere` names one of `systems`. Where it is
            `raw`, and the output map has continuations, the donor's tokens go on inside them.
    """
    donors = [_Reader.of(one) for one in (donor.teachers if isinstance(donor, Panel) else [donor])]
    behind = [one for one in systems.values() if not (one is None or isinstance(one, Inside))]
    taps = sorted({tap for one in behind for tap in one.taps})
    for one in behind:
        if isinstance(one, nn.Module):
            one.to(target.device)
    likely = is_large(target) and not output_map.parts
    losses_of = _losses_of_likely if likely else _losses_of_all
    output_map = output_map if likely else output_map.to(target.device)
    tally, rows, paired = Tally([*systems, *ways]), 0, 0
    size = AT_ONCE if likely else max(1, LOGITS_AT_ONCE // target.vocab_size)
    for *left, right in windows_together([*(one.backbone for one in donors), target], texts):
        theirs = target.read(right, taps).labelled()
        ours = [one.read(windows) for one, windows in zip(donors, left, strict=True)]
        at_ours, at_theirs = _paired(ours, theirs)
        losses = {name: _losses_of(target, right, theirs, one) for name, one in systems.items()}
        losses |= {name: losses[way.elsewhere].clone() for name, way in ways.items()}
        rows, paired = rows + len(theirs), paired + len(at_theirs)
        for b, *a in zip(*(at.split(size) for at in (at_theirs, *at_ours)), strict=True):
            both = _block(donors, ours, a, theirs.select(b))
            for name, loss in losses_of(target, both, output_map, ways).items():
                losses[name][b] = loss.to(losses[name].device)
        if output_map.continuations is not None:
            (own,), unpaired = ours, unmatched(at_theirs, len(theirs))  # of one donor alone
            b, a = rows_before(own.ends, own.windows, theirs.ends, theirs.windows, unpaired)
            both = _block(donors, ours, [a], theirs.select(b))
            read = texts_between(texts, right, theirs.windows[b], own.ends[a], theirs.ends[b])
            for name, loss in _losses_inside(target, both, read, output_map, ways).items():
                losses[name][b] = loss.to(losses[name].device)
        owners = torch.tensor([documents[window.document] for window in right])
        tally.add(owners[theirs.windows.cpu()], losses)
    return BesideScores(tally.likelihoods(), paired / max(1, rows))


def _losses_of(
    target: Backbone, windows: Sequence[Window], states: States, system: System
) -> Tensor:
    """What each labelled row costs a system; what works inside the target reads the windows anew.

    Args:
        target: the backbone.
        windows: that were read.
        states: of the raw target, or what a correction is added to.
        system: what is at work in it.
    """
    if not isinstance(system, Inside):
        return row_losses(target, states, system)
    corrector = system.corrector
    with system.inside():
        own = target.read(windows, () if corrector is None else corrector.taps).labelled()
    return row_losses(target, own, corrector)


AT_ONCE = 512  # rows of a large vocabulary, of which the likely tokens are kept


@dataclass(frozen=True)
class _Reader:
    """A donor, read for its correction."""

    backbone: Backbone
    taps: tuple[int, ...]
    correction_of: Callable[[States], Tensor]

    @classmethod
    def of(cls, donor: HostedModel) -> _Reader:
        if isinstance(donor, TunedDonor):
            taps = donor.change_taps
            return cls(donor.backbone, taps, lambda states: donor.change(states.taps).float())
        correction = donor.correction
        assert correction is not None
        return cls(
            donor.backbone, correction.taps,
            lambda states: correction(states.taps, states.windows).float(),
        )  # fmt: skip

    def read(self, windows: Sequence[Window]) -> States:
        return self.backbone.read(windows, self.taps)


def _paired(ours: Sequence[States], theirs: States) -> tuple[list[Tensor], Tensor]:
    """The rows at which all have read up to the same character: of each donor, of the target."""
    pairs = [
        match_positions(states.ends, states.windows, theirs.ends, theirs.windows)
        for states in ours
    ]  # fmt: skip
    common, places = common_rows([rows for _, rows in pairs])
    return [rows[at] for (rows, _), at in zip(pairs, places, strict=True)], common


@dataclass(frozen=True)
class _Block:
    """Rows that pair, one by one; those of several donors side by side."""

    correction: Tensor  # the donor's [rows, d_donor]
    h_donor: Tensor  # [rows, d_donor]
    target: States


def _block(
    donors: Sequence[_Reader], ours: Sequence[States], rows: Sequence[Tensor], target: States
) -> _Block:
    place = target.h_last.device
    read = [states.select(some) for states, some in zip(ours, rows, strict=True)]
    changes = [one.correction_of(states) for one, states in zip(donors, read, strict=True)]
    sides = changes, [states.h_last.float() for states in read]
    correction, h_donor = (torch.cat([part.to(place) for part in side], dim=1) for side in sides)
    return _Block(correction, h_donor, target)


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
