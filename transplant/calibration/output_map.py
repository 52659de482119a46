"""The way from a donor's head to a target's, and the change of logits that it carries over."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from transplant.alignment.continuations import Continuations
from transplant.alignment.token_ways import TokenWays, token_ways
from transplant.alignment.tokens import SharedTokens
from transplant.alignment.unembedding import fit_output_map
from transplant.backbones.split_head import SplitHead
from transplant.backbones.view import Backbone
from transplant.calibration.changes.spec import BEGINS_WITH
from transplant.calibration.changes.table import WAYS
from transplant.calibration.changes.way import ChangeWeights, DonorLogits
from transplant.calibration.config import CONTINUED, FIRST, MoveConfig


@dataclass(frozen=True)
class OutputMap:
    """The way from the donor's head to the target's, the same for all text."""

    donor: SplitHead  # of the donor, its matrix U [vocab, d_donor] as it is stored
    head: Tensor  # U of the target [vocab, d_target], as it is stored
    matrix: Tensor  # M [d_donor, d_target]
    ways: TokenWays
    continuations: Continuations | None = None
    """How the donor's tokens go on behind some bytes, where that was asked for."""
    parts: tuple[OutputMap, ...] = ()
    """Of several donors the way of each; what they carry is averaged. All else is the first's, but
    M, which is that of all of them, one below the other."""

    @property
    def donor_head(self) -> Tensor:
        """U of the donor [vocab, d_donor]."""
        return self.donor.weight

    @property
    def is_linear(self) -> bool:
        """Whether the donor's change of logits is linear in its correction; of several, of all."""
        return all(part.donor.is_linear for part in self.parts or (self,))

    @property
    def width(self) -> int:
        """The columns of a donor's correction, of several donors those of all."""
        return sum(part.width for part in self.parts) or self.donor_head.shape[1]

    @property
    def shared(self) -> SharedTokens:
        """The tokens that both have."""
        return self.ways.shared

    @property
    def one_vocabulary(self) -> bool:
        """Whether both have the same tokens; of several donors whether all have."""
        return all(part.ways.one_vocabulary for part in self.parts or (self,))

    @cached_property
    def wide_donor(self) -> SplitHead:
        """The donor's head, its matrix in single precision at least."""
        wide = torch.promote_types(self.donor_head.dtype, torch.float32)
        return dataclasses.replace(self.donor, weight=self.donor_head.to(wide))

    def to(self, device: torch.device) -> OutputMap:
        """The same on another device."""
        donor, head, matrix = self.donor.to(device), self.head.to(device), self.matrix.to(device)
        parts = tuple(part.to(device) for part in self.parts)
        return OutputMap(donor, head, matrix, self.ways.to(device), self.continuations, parts)


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
    ours, theirs, bias = donor.unembedding.cpu(), target.unembedding.cpu(), donor.head_bias
    sizes = len(ours), target.vocab_size
    ways = token_ways(donor.tokenizer, target.tokenizer, counts, sizes)
    matrix = fit_output_map(ours, theirs, ways.shared, config.output_ridge)
    continued = config.inside == CONTINUED or config.longer != FIRST
    tokenizers = donor.tokenizer, target.tokenizer
    go_on = Continuations(*tokenizers, sizes) if continued else None
    head = SplitHead(ours, None if bias is None else bias.cpu(), donor.soft_cap)
    return OutputMap(head, theirs, matrix, ways, go_on)


def joined_maps(parts: Sequence[OutputMap]) -> OutputMap:
    """The ways of several donors to one target; what they carry is averaged there."""
    first = parts[0]
    matrix = torch.cat([part.matrix for part in parts]) / len(parts)
    return OutputMap(first.donor, first.head, matrix, first.ways, parts=tuple(parts))


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
        [rows, vocab_target]; of several donors the mean of theirs
    """
    if output_map.parts:
        columns = [part.width for part in output_map.parts]
        rows = zip(correction.split(columns, 1), h_donor.split(columns, 1), strict=True)
        carried = [
            change_of_logits(part, own, h, logits, mix)
            for part, (own, h) in zip(output_map.parts, rows, strict=True)
        ]
        return torch.stack(carried).mean(0)

    # A teacher's products may be taken in 16 bits; sums over the vocabulary never are.
    head = output_map.wide_donor
    donor = DonorLogits(head.change_of_all(h_donor, correction), lambda: head.of_all(h_donor))
    return WAYS[mix.change].of_all(donor, logits, output_map.ways, mix.weights)
