"""Likely tokens at each paired row: of the target, the donor, and the donor with its module."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from transplant.alignment.likely import LikelyRows, Vocabularies, likely_tokens
from transplant.backbones.view import Backbone
from transplant.calibration.config import MoveConfig
from transplant.calibration.large_vocabulary import head_on_cpu, likely_for
from transplant.calibration.output_map import OutputMap
from transplant.calibration.pairs import PairedText
from transplant.ranks import current

DONORS = 2  # times `likely_tokens` are kept of the donor, before changes are known


def untaught(rows: LikelyRows) -> LikelyRows:
    """The same rows where the donor has learned nothing."""
    taught = dataclasses.replace(rows.taught, total=rows.donor.total)
    return dataclasses.replace(rows, taught=taught)


def likely_rows(
    output_map: OutputMap,
    corrections: Sequence[Tensor],
    target: Backbone,
    paired: PairedText,
    config: MoveConfig,
    known: Sequence[LikelyRows],
) -> tuple[LikelyRows, ...]:
    """What is likely at each row for the target, the donor, and the donor with its module.

    Args:
        output_map: the two heads.
        corrections: the donor's, [rows, d_donor] of each batch.
        target: the backbone that the module moves to.
        paired: the paired rows; of several processes, each looks at the batches of its turn.
        config: how many tokens a position looks at.
        known: of the same target rows, a batch each, or none; what was found there is taken from
            them.
    """
    donor_head = output_map.donor
    ours, theirs, likely = output_map.shared.ids_a, output_map.shared.ids_b, config.likely_tokens
    found = []
    for place, number in enumerate(current().turns(len(corrections))):
        batch, correction = paired.batches[number], corrections[number]
        h_donor, h_target = batch.donor.h_last, batch.target.h_last
        before = known[place] if known else None
        if before is not None and before.h_donor is h_donor and before.h_target is h_target:
            found.append(before)
            continue
        if before is not None and torch.equal(before.h_target, h_target):
            for_target = before.target
        else:
            for_target = likely_for(target, h_target, theirs, likely)
        order = slice(None) if batch.donor_order is None else batch.donor_order
        if before is not None and torch.equal(before.h_donor[order], h_donor):
            for_donor, taught = before.donor[order], before.taught[order]
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
    donor_head = output_map.donor
    ours, theirs = output_map.shared.ids_a, output_map.shared.ids_b
    return LikelyRows(
        h_donor, h_target, likely_for(target, h_target, theirs, likely),
        likely_tokens(donor_head, h_donor, DONORS * likely, ours),
        likely_tokens(donor_head, h_donor + correction, DONORS * likely, ours[:1]),
    )  # fmt: skip


def vocabularies(output_map: OutputMap, target: Backbone) -> Vocabularies:
    """Both heads on the CPU, and how their tokens belong together."""
    head = head_on_cpu(target, output_map.head)
    return Vocabularies(output_map.donor, head, output_map.ways)
