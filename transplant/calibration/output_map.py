"""Corrections wanted of the target: the donor's, mapped through the two unembeddings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from transplant.alignment.likely import (
    LikelyRows,
    Vocabularies,
    likely_changes,
    likely_tokens,
)
from transplant.alignment.logits import LikelyChange, likely_change, spread_change
from transplant.alignment.tokens import SharedTokens, beginnings, shared_tokens
from transplant.alignment.unembedding import fit_output_map
from transplant.backbones.split_head import SplitHead
from transplant.backbones.view import Backbone
from transplant.calibration.config import MoveConfig
from transplant.calibration.paired_rows import PairedRows
from transplant.calibration.pairs import PairedText
from transplant.ranks import current

WHOLE = 16_384  # tokens of a vocabulary of which all are looked at
TARGETS, DONORS = 8, 2  # times `likely_tokens` are kept of either side, before changes are known
LOGITS_AT_ONCE = 2_500_000  # 10 MB of them: larger blocks leave the cache and run slower


@dataclass(frozen=True)
class OutputMap:
    """The way from the donor's head to the target's, the same for all text."""

    donor_head: Tensor  # U of the donor [vocab, d_donor], as it is stored
    head: Tensor  # U of the target [vocab, d_target], as it is stored
    matrix: Tensor  # M [d_donor, d_target]
    shared: SharedTokens
    beginnings: Tensor  # the donor's token that each of the target's begins with [vocab_target]

    @cached_property
    def wide_donor_head(self) -> Tensor:
        """U of the donor in single precision at least."""
        return self.donor_head.to(torch.promote_types(self.donor_head.dtype, torch.float32))

    def to(self, device: torch.device) -> OutputMap:
        """The same on another device."""
        shared = dataclasses.replace(
            self.shared, ids_a=self.shared.ids_a.to(device), ids_b=self.shared.ids_b.to(device)
        )
        moved = (self.donor_head, self.head, self.matrix, self.beginnings)
        donor_head, head, matrix, beginnings = (tensor.to(device) for tensor in moved)
        return OutputMap(donor_head, head, matrix, shared, beginnings)


@dataclass(frozen=True)
class DonorMix:
    """Weights of the donor's log ratios in the wanted change of the target's logits."""

    raw_weight: float = 0.0
    """Of log p_donor - log p_target, both without the module, beside the module's change."""
    gain: float = 1.0
    """The factor on both together."""

    def to_dict(self) -> dict[str, float]:
        """As manifests hold it."""
        return {"donor_word": self.raw_weight, "gain": self.gain}


@dataclass(frozen=True)
class MappedCorrections:
    """What the target's correction should be, and do, at each paired row."""

    corrections: tuple[Tensor, ...]  # the donor's, through M: one [rows, d_target] for each batch
    changes: tuple[LikelyChange, ...]  # of the target's logits, for the batches of this process
    output_map: OutputMap
    likely: tuple[LikelyRows, ...] = ()
    """What was likely at the rows of these batches, where the vocabulary is large."""


def map_outputs(
    donor: Backbone, target: Backbone, counts: Mapping[str, int], config: MoveConfig
) -> OutputMap:
    """Fits M through the two unembeddings, on the tokens that they share.

    Args:
        donor: the donor's backbone.
        target: the backbone that the module moves to.
        counts: the domain's token counts, which travel with the module.
        config: the ridge strength of M.
    """
    shared = shared_tokens(donor.tokenizer, target.tokenizer, counts)
    ours, theirs = donor.unembedding.cpu(), target.unembedding.cpu()
    matrix = fit_output_map(ours, theirs, shared, config.output_ridge)
    return OutputMap(
        ours, theirs, matrix, shared,
        beginnings(donor.tokenizer, target.tokenizer, target.vocab_size),
    )  # fmt: skip


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
        like: of the same target rows; what was found likely there is not looked for again.
    """

    def moved(batch: PairedRows) -> Tensor:
        if correction is None:
            return torch.zeros_like(batch.donor.h_last, dtype=torch.float32)
        return correction(batch.donor.taps).float()

    corrections = tuple(map(moved, paired.batches))
    mine = current().turns(len(corrections))
    likely: tuple[LikelyRows, ...] = ()
    if target.split_head is None or target.vocab_size <= WHOLE:
        changes = [
            _dense_changes(output_map, corrections[number], target, paired.batches[number], config)
            for number in mine
        ]
    else:
        likely = likely_rows(output_map, corrections, target, paired, config, like)
        between = _vocabularies(output_map, target)
        changes = [
            likely_changes(
                rows, one, between, raw_weight=config.donor_word, likely=config.likely_tokens
            )
            for rows, one in zip(likely, (corrections[number] for number in mine), strict=True)
        ]
    mapped = tuple(moved @ output_map.matrix for moved in corrections)
    return MappedCorrections(mapped, tuple(changes), output_map, likely)


def _dense_changes(
    output_map: OutputMap,
    correction: Tensor,
    target: Backbone,
    batch: PairedRows,
    config: MoveConfig,
) -> LikelyChange:
    """Of a batch, from the logits of all tokens at a few rows at a time."""
    size = max(1, LOGITS_AT_ONCE // target.vocab_size)
    rows = (correction, batch.donor.h_last, batch.target.h_last)
    parts = []
    for c, h_donor, h in zip(*(states.split(size) for states in rows), strict=True):
        logits = target.head(h.to(target.device)).cpu().float()
        change = change_of_logits(output_map, c, h_donor, logits, config.donor_word)
        parts.append(likely_change(logits, change, config.likely_tokens))
    return LikelyChange(
        torch.cat([part.tokens for part in parts]),
        torch.cat([part.weights for part in parts]),
        torch.cat([part.change for part in parts]),
    )


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
    head, donor_head = target.split_head, SplitHead(output_map.donor_head)
    assert head is not None
    ours, theirs, likely = output_map.shared.ids_a, output_map.shared.ids_b, config.likely_tokens
    found = []
    for place, number in enumerate(current().turns(len(corrections))):
        batch, correction = paired.batches[number], corrections[number]
        h_donor, h_target = batch.donor.h_last, batch.target.h_last
        known = like.likely[place] if like is not None and like.likely else None
        if known is not None and torch.equal(known.h_target, h_target):
            for_target = known.target
        else:
            on_device = h_target.to(target.device), TARGETS * likely, theirs.to(target.device)
            for_target = likely_tokens(head, *on_device).cpu()
        order = slice(None) if batch.donor_order is None else batch.donor_order
        if known is not None and torch.equal(known.h_donor[order], h_donor):
            for_donor, taught = known.donor[order], known.taught[order]
        else:
            for_donor = likely_tokens(donor_head, h_donor, DONORS * likely, ours)
            changed = h_donor + correction
            taught = likely_tokens(donor_head, changed, DONORS * likely, ours[:1]).tokens
        found.append(LikelyRows(h_donor, h_target, for_target, for_donor, taught))
    return tuple(found)


def _vocabularies(output_map: OutputMap, target: Backbone) -> Vocabularies:
    shared = output_map.shared
    same = torch.full((len(output_map.donor_head),), -1)
    same[shared.ids_a] = shared.ids_b
    head = target.split_head
    assert head is not None
    bias = None if head.bias is None else head.bias.cpu()
    on_cpu = SplitHead(output_map.head, bias, head.soft_cap)
    return Vocabularies(SplitHead(output_map.donor_head), on_cpu, output_map.beginnings, same)


def change_of_logits(
    output_map: OutputMap, correction: Tensor, h_donor: Tensor, logits: Tensor, raw_weight: float
) -> Tensor:
    """How the target's logits should change: as the donor's do by its module.

    Args:
        output_map: the two heads, and the shared tokens.
        correction: the donor's [rows, d_donor].
        h_donor: its last hidden states [rows, d_donor].
        logits: of the raw target at the same positions [rows, vocab_target].
        raw_weight: of log p_donor - log p_target, both without the module.

    Returns:
        [rows, vocab_target]
    """
    change = correction @ output_map.wide_donor_head.T
    if raw_weight:
        change += raw_weight * _raw_log_ratio(h_donor, logits, output_map)
    return spread_change(change, logits.softmax(-1), output_map.beginnings)


def _raw_log_ratio(h_donor: Tensor, logits: Tensor, output_map: OutputMap) -> Tensor:
    """log p_donor - log p_target of shared tokens, both without a module.

    Args:
        h_donor: the donor's last hidden states [rows, d_donor].
        logits: of the raw target at the same positions [rows, vocab_target].
        output_map: the two heads, and the shared tokens.

    Returns:
        [rows, vocab_donor], 0 at the donor's other tokens.
    """
    shared = output_map.shared
    # A teacher's products may be taken in 16 bits; sums over the vocabulary never are.
    own = (h_donor.float() @ output_map.wide_donor_head.T).float()
    own = own[:, shared.ids_a].log_softmax(-1)
    ratio = own.new_zeros(len(h_donor), len(output_map.donor_head))
    ratio[:, shared.ids_a] = own - logits[:, shared.ids_b].log_softmax(-1)
    return ratio
