"""What the correction should be on the target: the donor's, carried over through the two heads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.alignment.logits import LikelyChange, likely_change, spread_change
from transplant.alignment.tokens import SharedTokens, beginnings, shared_tokens
from transplant.alignment.unembedding import fit_output_map
from transplant.backbones.view import Backbone
from transplant.calibration.config import MoveConfig
from transplant.calibration.pairs import PairedRows, PairedText
from transplant.modules.correction import Correction

LOGITS_AT_ONCE = 2_500_000  # 10 MB of them: larger blocks leave the cache and run slower


@dataclass(frozen=True)
class OutputMap:
    """The way from the donor's head to the target's, the same for all text."""

    donor_head: Tensor  # U of the donor [vocab, d_donor]
    head: Tensor  # U of the target [vocab, d_target]
    matrix: Tensor  # M [d_donor, d_target]
    shared: SharedTokens
    beginnings: Tensor  # the donor's token that each of the target's begins with [vocab_target]

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
    changes: tuple[LikelyChange, ...]  # of the target's logits
    output_map: OutputMap


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
    ours, theirs = donor.unembedding.cpu().float(), target.unembedding.cpu().float()
    matrix = fit_output_map(ours, theirs, shared, config.output_ridge)
    return OutputMap(
        ours, theirs, matrix, shared,
        beginnings(donor.tokenizer, target.tokenizer, target.vocab_size),
    )  # fmt: skip


@torch.no_grad()
def map_corrections(
    output_map: OutputMap,
    correction: Correction | None,
    target: Backbone,
    paired: PairedText,
    config: MoveConfig,
) -> MappedCorrections:
    """Carries the donor's corrections, and its changes of logits, over to the target.

    Args:
        output_map: the way between the two heads.
        correction: the donor's interface and module, on the CPU; None for the donor without them,
            of which only log p_donor - log p_target is left.
        target: the backbone that the module moves to.
        paired: the paired rows.
        config: how many tokens a position looks at, and the weight of log p_donor - log p_target.
    """

    def moved(batch: PairedRows) -> Tensor:
        if correction is None:
            return torch.zeros_like(batch.donor.h_last)
        return correction(batch.donor.taps).float()

    corrections = tuple(map(moved, paired.batches))
    size = max(1, LOGITS_AT_ONCE // target.vocab_size)

    def changes(batch: PairedRows, correction: Tensor) -> LikelyChange:
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

    return MappedCorrections(
        corrections=tuple(moved @ output_map.matrix for moved in corrections),
        changes=tuple(map(changes, paired.batches, corrections)),
        output_map=output_map,
    )


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
    change = correction @ output_map.donor_head.T
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
    own = (h_donor @ output_map.donor_head.T)[:, shared.ids_a].log_softmax(-1)
    ratio = h_donor.new_zeros(len(h_donor), len(output_map.donor_head))
    ratio[:, shared.ids_a] = own - logits[:, shared.ids_b].log_softmax(-1)
    return ratio
