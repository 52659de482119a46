"""Corrections wanted of the target, and their changes of logits, at each paired row."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.alignment.likely import LikelyRows, Vocabularies, likely_tokens
from transplant.alignment.logits import LikelyChange, likely_change
from transplant.backbones.split_head import SplitHead
from transplant.backbones.view import Backbone
from transplant.calibration.changes.along import Shown, products_along
from transplant.calibration.changes.likely import likely_changes
from transplant.calibration.changes.table import WAYS
from transplant.calibration.config import PRODUCT, MoveConfig
from transplant.calibration.large_vocabulary import (
    LOGITS_AT_ONCE,
    head_on_cpu,
    is_large,
    likely_for,
)
from transplant.calibration.output_map import OutputMap, change_of_logits, donor_mix
from transplant.calibration.paired_rows import PairedRows
from transplant.calibration.pairs import PairedText
from transplant.calibration.wanted_inside import WantedInside, wanted_inside
from transplant.ranks import current

DONORS = 2  # times `likely_tokens` are kept of the donor, before changes are known


@dataclass(frozen=True)
class MappedCorrections:
    """What the target's correction should be, and do, at each paired row."""

    corrections: tuple[Tensor, ...]  # the donor's, through M: one [rows, d_target] for each batch
    changes: tuple[LikelyChange, ...]  # of the target's logits, for the batches of this process
    output_map: OutputMap
    likely: tuple[LikelyRows, ...] = ()
    """What was likely at the rows of these batches, where the vocabulary is large."""
    inside: tuple[WantedInside | None, ...] = ()
    """At the rows inside donor tokens of the same batches; empty where they are left out."""
    shown: tuple[Shown | None, ...] = ()
    """What the text of these batches shows of tokens longer than the donor's, where that counts."""

    def all_changes(self) -> list[LikelyChange]:
        """The changes at the pairs of each batch, and then inside donor tokens.

        Of several processes all must call this; each has made some.
        """
        ranks, batches = current(), len(self.corrections)
        mine, inside = ranks.turns(batches), self.inside or [None] * len(self.changes)
        whole = [
            change if more is None else LikelyChange.joined([change, more.change])
            for change, more in zip(self.changes, inside, strict=True)
        ]
        found = {number: vars(change) for number, change in zip(mine, whole, strict=True)}
        return [LikelyChange(**parts) for parts in ranks.collect(batches, found)]


def taught_by(target: Backbone) -> str:
    """The objective by which a donor teaches a target: over all tokens, or over likely ones."""
    return "donor-changes" if is_large(target) else "donor-kd"


@torch.no_grad()
def map_corrections(
    output_map: OutputMap,
    correction: Callable[[Mapping[int, Tensor]], Tensor] | None,
    target: Backbone,
    paired: PairedText,
    config: MoveConfig,
    *,
    like: MappedCorrections | None = None,
) -> MappedCorrections:
    """Carries the donor's corrections, and its changes of logits, over to the target.

    Of several processes each goes through the vocabularies for the batches that are its turn.

    Args:
        output_map: the way between the two heads.
        correction: the donor's, from its taps, on the CPU; None for the donor without it, of which
            only log p_donor - log p_target is left.
        target: the backbone that the module moves to.
        paired: the paired rows.
        config: how many tokens a position looks at, and the weight of log p_donor - log p_target.
        like: of the same target rows, and where the donor's are the same too, of the same
            correction or of the donor without it; what was found likely is not looked for again.
    """

    def moved(batch: PairedRows) -> Tensor:
        if correction is None:
            return torch.zeros_like(batch.donor.h_last, dtype=torch.float32)
        return correction(batch.donor.taps).float()

    corrections = tuple(map(moved, paired.batches))
    mine = current().turns(len(corrections))
    likely: tuple[LikelyRows, ...] = ()
    shown = _all_shown(output_map, correction, corrections, paired, config, like)
    if not is_large(target) or output_map.parts:
        changes = [
            _dense_changes(
                output_map, corrections[number], target, paired.batches[number], config, along
            )
            for number, along in zip(mine, shown, strict=True)
        ]
    else:
        likely = likely_rows(output_map, corrections, target, paired, config, like)
        if correction is None and like is not None:
            likely = tuple(map(_untaught, likely))
        between = vocabularies(output_map, target)
        way, weights = WAYS[config.change], donor_mix(config).weights
        kept = {"likely": config.likely_tokens, "rest": config.rest_tokens}
        changes = [
            likely_changes(rows, corrections[number], between, way, weights, **kept, shown=along)
            for rows, number, along in zip(likely, mine, shown, strict=True)
        ]
    mapped = tuple(moved @ output_map.matrix for moved in corrections)
    within = wanted_inside(
        output_map, correction, target, (paired.batches[number] for number in mine), config,
        like=like.inside if like is not None else (),
    )  # fmt: skip
    return MappedCorrections(mapped, tuple(changes), output_map, likely, within, shown)


def _all_shown(
    output_map: OutputMap, correction: Callable[[Mapping[int, Tensor]], Tensor] | None,
    at_pairs: Sequence[Tensor], paired: PairedText, config: MoveConfig,
    like: MappedCorrections | None,
) -> tuple[Shown | None, ...]:  # fmt: skip
    """What the text of each batch of this process shows, of what is known from before or anew."""
    mine = current().turns(len(at_pairs))
    if config.longer != PRODUCT:
        return (None,) * len(mine)
    known = like.shown if like is not None and like.shown else (None,) * len(mine)
    return tuple(
        _shown(output_map, correction, at_pairs[number], paired.batches[number], before)
        for number, before in zip(mine, known, strict=True)
    )


def _shown(
    output_map: OutputMap,
    correction: Callable[[Mapping[int, Tensor]], Tensor] | None,
    at_pairs: Tensor,
    batch: PairedRows,
    known: Shown | None,
) -> Shown | None:
    """What the text of a batch shows of tokens longer than the donor's."""
    if (longer := batch.longer) is None:
        return None
    if known is not None:
        return known if correction is not None else dataclasses.replace(known, p1=known.p0)
    rows = longer.donor
    learned = torch.zeros_like(rows.h_last) if correction is None else correction(rows.taps)
    assert output_map.continuations is not None
    return products_along(
        batch, (at_pairs, learned.float()), output_map.donor_head.cpu(),
        output_map.continuations,
    )  # fmt: skip


def _dense_changes(
    output_map: OutputMap,
    correction: Tensor,
    target: Backbone,
    batch: PairedRows,
    config: MoveConfig,
    shown: Shown | None,
) -> LikelyChange:
    """Of a batch, from the logits of all tokens at a few rows at a time."""
    size = max(1, LOGITS_AT_ONCE // target.vocab_size)
    rows = (correction, batch.donor.h_last, batch.target.h_last)
    parts, begin, mix = [], 0, donor_mix(config)
    for c, h_donor, h in zip(*(states.split(size) for states in rows), strict=True):
        logits = target.head(h.to(target.device)).cpu().float()
        change = change_of_logits(output_map, c, h_donor, logits, mix)
        if shown is not None:
            some = shown.among(slice(begin, begin + len(h)))
            theirs = logits[some.rows].softmax(-1).gather(1, some.tokens[:, None])[:, 0]
            found = some.change(theirs, WAYS[config.change], mix.weights)
            change = change.index_put((some.rows, some.tokens), found)
        begin += len(h)
        parts.append(likely_change(logits, change, config.likely_tokens))
    return LikelyChange.joined(parts)


def _untaught(rows: LikelyRows) -> LikelyRows:
    """The same rows where the donor has learned nothing."""
    taught = dataclasses.replace(rows.taught, total=rows.donor.total)
    return dataclasses.replace(rows, taught=taught)


def likely_rows(
    output_map: OutputMap,
    corrections: Sequence[Tensor],
    target: Backbone,
    paired: PairedText,
    config: MoveConfig,
    like: MappedCorrections | None,
) -> tuple[LikelyRows, ...]:
    """What is likely at each row for the target, the donor, and the donor with its module.

    Args:
        output_map: the two heads.
        corrections: the donor's, [rows, d_donor] of each batch.
        target: the backbone that the module moves to.
        paired: the paired rows; of several processes, each looks at the batches of its turn.
        config: how many tokens a position looks at.
        like: of the same target rows, in the same batches; what was found there is taken from it.
    """
    donor_head = SplitHead(output_map.donor_head)
    ours, theirs, likely = output_map.shared.ids_a, output_map.shared.ids_b, config.likely_tokens
    found = []
    for place, number in enumerate(current().turns(len(corrections))):
        batch, correction = paired.batches[number], corrections[number]
        h_donor, h_target = batch.donor.h_last, batch.target.h_last
        known = like.likely[place] if like is not None and like.likely else None
        if known is not None and known.h_donor is h_donor and known.h_target is h_target:
            found.append(known)
            continue
        if known is not None and torch.equal(known.h_target, h_target):
            for_target = known.target
        else:
            for_target = likely_for(target, h_target, theirs, likely)
        order = slice(None) if batch.donor_order is None else batch.donor_order
        if known is not None and torch.equal(known.h_donor[order], h_donor):
            for_donor, taught = known.donor[order], known.taught[order]
        else:
            for_donor = likely_tokens(donor_head, h_donor, DONORS * likely, ours)
            changed = h_donor + correction
            taught = likely_tokens(donor_head, changed, DONORS * likely, ours[:1])
        found.append(LikelyRows(h_donor, h_target, for_target, for_donor, taught))
    return tuple(found)


def likely_at(
    output_map: OutputMap,
    target: Backbone,
    h_donor: Tensor,
    h_target: Tensor,
    correction: Tensor,
    likely: int,
) -> LikelyRows:
    """What is likely at some rows for the target, the donor, and the donor with what it learned.

    Args:
        output_map: the two heads, on the CPU.
        target: the backbone.
        h_donor: last hidden states [rows, d_donor].
        h_target: last hidden states [rows, d_target].
        correction: the donor's [rows, d_donor].
        likely: tokens that a position is compared on; several times as many are looked for.
    """
    donor_head = SplitHead(output_map.donor_head)
    ours, theirs = output_map.shared.ids_a, output_map.shared.ids_b
    return LikelyRows(
        h_donor, h_target, likely_for(target, h_target, theirs, likely),
        likely_tokens(donor_head, h_donor, DONORS * likely, ours),
        likely_tokens(donor_head, h_donor + correction, DONORS * likely, ours[:1]),
    )  # fmt: skip


def vocabularies(output_map: OutputMap, target: Backbone) -> Vocabularies:
    """Both heads on the CPU, and how their tokens belong together."""
    head = head_on_cpu(target, output_map.head)
    return Vocabularies(SplitHead(output_map.donor_head), head, output_map.ways)
