"""Which tokens of two vocabularies belong together: the same bytes, or bytes that begin alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from transplant.alignment.tokens import SharedTokens, beginnings, shared_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class TokenWays:
    """The ways between the tokens of a donor and of a target; -1 stands for no token."""

    shared: SharedTokens
    beginnings: Tensor  # the donor's token that each of the target's begins with [vocab_target]
    images: Tensor  # the target's token that each of the donor's begins with [vocab_donor]

    @cached_property
    def same(self) -> Tensor:
        """The target's token that is each of the donor's [vocab_donor]."""
        same = torch.full_like(self.images, -1)
        same[self.shared.ids_a] = self.shared.ids_b
        return same

    @cached_property
    def reached(self) -> Tensor:
        """Whether a token of the target is the image of any of the donor's [vocab_target]."""
        reached = torch.zeros_like(self.beginnings, dtype=torch.bool)
        reached[self.images[self.images >= 0]] = True
        return reached

    @cached_property
    def unreached(self) -> Tensor:
        """The target's tokens that are the image of none [tokens]."""
        return (~self.reached).nonzero()[:, 0]

    @cached_property
    def classes(self) -> Tensor:
        """The image that stands for each of the target's tokens, or the remainder [vocab_target].

        A token that is no image itself is longer than what the donor reads first of it; its class
        is that of the donor's token. The remainder has the number `vocab_target`.
        """
        first = self.images[self.beginnings.clamp_min(0)]
        first = torch.where((self.beginnings >= 0) & (first >= 0), first, len(self.beginnings))
        return torch.where(self.reached, torch.arange(len(first), device=first.device), first)

    @cached_property
    def one_vocabulary(self) -> bool:
        """Whether both have the same tokens, so that nothing is lost between them."""
        known = self.images[self.images >= 0]
        exact = len(self.shared.ids_a) == len(known) == len(known.unique())
        return exact and len(known) == int((self.beginnings >= 0).sum())

    def to(self, device: torch.device) -> TokenWays:
        """The same on another device."""
        shared = dataclasses.replace(
            self.shared, ids_a=self.shared.ids_a.to(device), ids_b=self.shared.ids_b.to(device)
        )
        return TokenWays(shared, self.beginnings.to(device), self.images.to(device))


def token_ways(
    donor: PreTrainedTokenizerBase,
    target: PreTrainedTokenizerBase,
    counts: Mapping[str, int],
    sizes: tuple[int, int],
) -> TokenWays:
    """Reads both vocabularies once.

    Args:
        donor: its tokenizer.
        target: its tokenizer.
        counts: domain counts as `count_tokens` gives them.
        sizes: the number of the donor's logits, and of the target's.
    """
    return TokenWays(
        shared_tokens(donor, target, counts),
        beginnings(donor, target, sizes[1]),
        beginnings(target, donor, sizes[0]),
    )
