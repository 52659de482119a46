"""Corrections wanted of the target, and their changes of logits, at each paired row."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.alignment.likely import LikelyRows
from transplant.alignment.logits import LikelyChange, likely_change
from transplant.backbones.view import Backbone
from transplant.calibration.changes.along import Shown, products_along
from transplant.calibration.changes.likely import likely_changes
from transplant.calibration.changes.table import WAYS
from transplant.calibration.config import PRODUCT, MoveConfig
from transplant.calibration.large_vocabulary import LOGITS_AT_ONCE, is_large
from transplant.calibration.likely_rows import likely_rows, untaught, vocabularies
from transplant.calibration.output_map import OutputMap, change_of_logits, donor_mix
from transplant.calibration.paired_rows import PairedRows
from transplant.calibration.pairs import PairedText
from transplant.calibration.wanted_inside import WantedInside, wanted_inside
from transplant.ranks import current


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
        before = like.likely if like is not None else ()
        likely = likely_rows(output_map, corrections, target, paired, config, before)
        if correction is None and like is not None:
            likely = tuple(map(untaught, likely))
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
        batch, (at_pairs, learned.float()), output_map.donor.to("cpu"),
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
        parts.append(likely_change(logits, change, config.likely_tokens, target.soft_cap))
    return LikelyChange.joined(parts)
