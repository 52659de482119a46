"""Corrections wanted of the target: the donor's, mapped through the two unembeddings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from transplant.alignment.likely import LikelyRows, Vocabularies, likely_tokens
from transplant.alignment.logits import LikelyChange, likely_change
from transplant.alignment.token_ways import TokenWays, token_ways
from transplant.alignment.tokens import SharedTokens
from transplant.alignment.unembedding import fit_output_map
from transplant.backbones.split_head import SplitHead
from transplant.backbones.view import Backbone
from transplant.calibration.changes.likely import likely_changes
from transplant.calibration.changes.spec import BEGINS_WITH
from transplant.calibration.changes.table import WAYS
from transplant.calibration.changes.way import ChangeWeights, DonorLogits
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
    ways: TokenWays

    @property
    def shared(self) -> SharedTokens:
        """The tokens that both have."""
        return self.ways.shared

    @cached_property
    def wide_donor_head(self) -> Tensor:
        """U of the donor in single precision at least."""
        return self.donor_head.to(torch.promote_types(self.donor_head.dtype, torch.float32))

    def to(self, device: torch.device) -> OutputMap:
        """The same on another device."""
        moved = (self.donor_head, self.head, self.matrix)
        return OutputMap(*(tensor.to(device) for tensor in moved), self.ways.to(device))


@dataclass(frozen=True)
class DonorMix:
    """Weights of the donor's log ratios in the wanted change of the target's logits."""

    raw_weight: float = 0.0
    """Of log p_donor - log p_target, both without the module, beside the module's change."""
    gain: float = 1.0
    """The factor on both together."""
    change: str = BEGINS_WITH
    """How changes are carried from one vocabulary to the other."""
    shrink: float = 0.0
    """k of mass / (mass + k), a factor on them, where they are carried by push-forward."""

    @property
    def weights(self) -> ChangeWeights:
        """Those that a change is made with, before the gain."""
        return ChangeWeights(raw_weight=self.raw_weight, shrink=self.shrink)

    @property
    def reads_donor(self) -> bool:
        """Whether the donor's own logits are of use beside their change."""
        return bool(self.raw_weight) or self.change != BEGINS_WITH

    def to_dict(self) -> dict[str, Any]:
        """As manifests hold it."""
        named: dict[str, Any] = {"donor_word": self.raw_weight, "gain": self.gain}
        return named if self.change == BEGINS_WITH else {**named, "change": self.change}


def donor_mix(config: MoveConfig, gain: float = 1.0) -> DonorMix:
    """What a configuration has chosen, with a gain."""
    return DonorMix(config.donor_word, gain, config.change, config.shrink)


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
    ours, theirs = donor.unembedding.cpu(), target.unembedding.cpu()
    sizes = len(ours), target.vocab_size
    ways = token_ways(donor.tokenizer, target.tokenizer, counts, sizes)
    matrix = fit_output_map(ours, theirs, ways.shared, config.output_ridge)
    return OutputMap(ours, theirs, matrix, ways)


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
    if target.split_head is None or target.vocab_size <= WHOLE:
        changes = [
            _dense_changes(output_map, corrections[number], target, paired.batches[number], config)
            for number in mine
        ]
    else:
        likely = likely_rows(output_map, corrections, target, paired, config, like)
        if correction is None and like is not None:
            likely = tuple(map(_untaught, likely))
        between = _vocabularies(output_map, target)
        weights, kept = donor_mix(config).weights, config.likely_tokens
        changes = [
            likely_changes(rows, one, between, WAYS[config.change], weights, likely=kept)
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
        change = change_of_logits(output_map, c, h_donor, logits, donor_mix(config))
        parts.append(likely_change(logits, change, config.likely_tokens))
    return LikelyChange(
        torch.cat([part.tokens for part in parts]),
        torch.cat([part.weights for part in parts]),
        torch.cat([part.change for part in parts]),
    )


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
            taught = likely_tokens(donor_head, changed, DONORS * likely, ours[:1])
        found.append(LikelyRows(h_donor, h_target, for_target, for_donor, taught))
    return tuple(found)


def _vocabularies(output_map: OutputMap, target: Backbone) -> Vocabularies:
    head = target.split_head
    assert head is not None
    bias = None if head.bias is None else head.bias.cpu()
    on_cpu = SplitHead(output_map.head, bias, head.soft_cap)
    return Vocabularies(SplitHead(output_map.donor_head), on_cpu, output_map.ways)


def change_of_logits(
    output_map: OutputMap, correction: Tensor, h_donor: Tensor, logits: Tensor, mix: DonorMix
) -> Tensor:
    """How the target's logits should change: as the donor's do by what it learned.

    Args:
        output_map: the two heads, and how their tokens belong together.
        correction: the donor's [rows, d_donor].
        h_donor: its last hidden states [rows, d_donor].
        logits: of the raw target at the same positions [rows, vocab_target].
        mix: how changes are carried over, and the weight of log p_donor - log p_target, both
            without what the donor learned; its gain is not used.

    Returns:
        [rows, vocab_target]
    """

    def own() -> Tensor:
        # A teacher's products may be taken in 16 bits; sums over the vocabulary never are.
        return (h_donor.float() @ output_map.wide_donor_head.T).float()

    donor = DonorLogits((correction @ output_map.wide_donor_head.T).float(), own)
    return WAYS[mix.change].of_all(donor, logits, output_map.ways, mix.weights)
