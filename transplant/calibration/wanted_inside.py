"""Wanted inside a token of the donor: that nothing changes, or that the token goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.alignment.likely import LikelyTokens
from transplant.alignment.logits import LikelyChange, likely_change
from transplant.backbones.view import Backbone
from transplant.calibration.changes.inside import Heads, Within, changes_inside
from transplant.calibration.changes.likely import keep_likely
from transplant.calibration.changes.table import WAYS
from transplant.calibration.changes.way import AskedTokens
from transplant.calibration.config import CONTINUED, LEFT_OUT, MoveConfig
from transplant.calibration.large_vocabulary import (
    LOGITS_AT_ONCE,
    head_on_cpu,
    is_large,
    likely_for,
)
from transplant.calibration.output_map import OutputMap, donor_mix
from transplant.calibration.paired_rows import InsideRows, PairedRows


@dataclass(frozen=True)
class WantedInside:
    """Of the rows of one batch inside donor tokens."""

    change: LikelyChange
    likely: LikelyTokens | None = None
    """What was likely for the raw target, where the vocabulary is large."""


@torch.no_grad()
def wanted_inside(
    output_map: OutputMap,
    correction: Callable[[Mapping[int, Tensor]], Tensor] | None,
    target: Backbone,
    batches: Iterable[PairedRows],
    config: MoveConfig,
    *,
    like: Sequence[WantedInside | None] = (),
) -> tuple[WantedInside | None, ...]:
    """Of each batch, where it has such rows; nothing at all where they are left out, or none.

    Args:
        output_map: the two heads.
        correction: the donor's, from its taps, on the CPU; None for the donor without it.
        target: the backbone that the module moves to.
        batches: paired rows.
        config: what is wanted inside, and how changes are carried over.
        like: of the same target rows; what was found likely is not looked for again.
    """
    if config.inside in (None, LEFT_OUT):
        return ()
    found: list[WantedInside | None] = []
    for number, batch in enumerate(batches):
        rows, known = batch.inside, like[number] if like else None
        if rows is None:
            found.append(None)
        elif config.inside == CONTINUED:
            found.append(_going_on(output_map, correction, target, rows, config, known))
        else:
            found.append(known or _unchanged(output_map, target, rows.target.h_last, config))
    return tuple(found) if any(found) else ()


def _unchanged(
    output_map: OutputMap, target: Backbone, h_target: Tensor, config: MoveConfig
) -> WantedInside:
    """That nothing changes at the likely tokens of some rows [rows, d_target]."""
    if is_large(target):
        likely = likely_for(target, h_target, output_map.shared.ids_b, config.likely_tokens)
        asked = AskedTokens(likely.tokens, likely.logits)
        nowhere = torch.zeros_like(likely.logits)
        change = nowhere, torch.ones_like(nowhere, dtype=torch.bool)
        sizes = config.likely_tokens, config.rest_tokens
        return WantedInside(keep_likely(likely, asked, change, *sizes, target.soft_cap), likely)
    parts = [
        likely_change(logits, torch.zeros_like(logits), config.likely_tokens, target.soft_cap)
        for logits in _logits(h_target, target)
    ]
    return WantedInside(LikelyChange.joined(parts))


def _going_on(
    output_map: OutputMap,
    correction: Callable[[Mapping[int, Tensor]], Tensor] | None,
    target: Backbone,
    rows: InsideRows,
    config: MoveConfig,
    known: WantedInside | None,
) -> WantedInside:
    """That the donor's tokens go on, at the rows of one batch."""
    donor = rows.donor
    assert donor is not None
    h_donor = donor.h_last.float()
    learned = torch.zeros_like(h_donor) if correction is None else correction(donor.taps).float()
    likely, kept = known.likely if known is not None else None, config.likely_tokens
    rest = config.rest_tokens if is_large(target) else 0
    way, weights, texts = WAYS[config.change], donor_mix(config).weights, rows.texts()
    states, parts = (h_donor, learned, rows.target.h_last), []
    for block, within, heads in within_tokens(output_map, target, *states, kept, likely):
        parts.append(
            changes_inside(within, texts[block], heads, way, weights, likely=kept, rest=rest)
        )
        likely = within.target
    return WantedInside(LikelyChange.joined(parts), likely if is_large(target) else None)


def within_tokens(
    output_map: OutputMap, target: Backbone, h_donor: Tensor, correction: Tensor, h_target: Tensor,
    likely: int, known: LikelyTokens | None = None,
) -> Iterator[tuple[slice, Within, Heads]]:  # fmt: skip
    """Rows inside tokens of the donor with what is likely for the target, some at a time.

    Args:
        output_map: the two heads, with the continuations.
        target: the backbone.
        h_donor: the donor's last hidden states before them [rows, d_donor].
        correction: the donor's there, through what it learned [rows, d_donor].
        h_target: the target's last hidden states [rows, d_target].
        likely: tokens that a position is compared on; several times as many are looked for.
        known: what is likely in a large vocabulary, where that was found before.
    """
    continuations = output_map.continuations
    assert continuations is not None
    if is_large(target):
        if known is None:
            known = likely_for(target, h_target, output_map.shared.ids_b, likely)
        head = head_on_cpu(target, output_map.head.cpu())
        heads = Heads(output_map.donor.to("cpu"), head, continuations, target.soft_cap)
        yield slice(None), Within(h_donor, correction, h_target, known), heads
        return
    begin, heads = 0, Heads(output_map.donor.to("cpu"), None, continuations, target.soft_cap)
    for logits in _logits(h_target, target):
        block = slice(begin, begin + len(logits))
        total = logits.logsumexp(1)
        every = torch.arange(logits.shape[1]).expand_as(logits)
        all_tokens = LikelyTokens(every, logits, total, total)
        yield block, Within(h_donor[block], correction[block], h_target[block], all_tokens), heads
        begin += len(logits)


def _logits(h_last: Tensor, target: Backbone) -> Iterable[Tensor]:
    """The raw logits of some rows [rows, d_model], on the CPU, a few rows at a time."""
    for h in h_last.split(max(1, LOGITS_AT_ONCE // target.vocab_size)):
        yield target.head(h.to(target.device)).cpu().float()
