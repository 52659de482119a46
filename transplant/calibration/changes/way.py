"""One way to carry a change of logits to another vocabulary: what it is given, what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from transplant.alignment.likely import LikelyRows, Vocabularies
from transplant.alignment.token_ways import TokenWays


@dataclass(frozen=True)
class DonorLogits:
    """The donor's logits at some rows; its own are computed where they are asked for."""

    change: Tensor  # by what it learned [rows, vocab_donor]
    own: Callable[[], Tensor]  # without what it learned [rows, vocab_donor], single precision


@dataclass(frozen=True, kw_only=True)
class ChangeWeights:
    """The weights that a change of logits is made with."""

    raw_weight: float = 0.0
    """Of log p_donor - log p_target, both without what was learned."""
    shrink: float = 0.0
    """k of mass / (mass + k), the factor on a change of tokens of so much probability."""


@dataclass(frozen=True)
class AskedTokens:
    """Tokens of the target at which a change is asked for."""

    tokens: Tensor  # [rows, asked]
    logits: Tensor  # of the raw target [rows, asked]; -inf where a token stands there already


OfAll = Callable[[DonorLogits, Tensor, TokenWays, ChangeWeights], Tensor]
"""From the donor's logits and the target's [rows, vocab_target] to the change [rows, vocab_target].
"""
OfLikely = Callable[
    [LikelyRows, Tensor, AskedTokens, Vocabularies, ChangeWeights], tuple[Tensor, Tensor]
]
"""From rows, the donor's correction [rows, d_donor] and the tokens that are asked for to the change
there, and whether there is one, both [rows, asked].
"""


@dataclass(frozen=True)
class Masses:
    """Probabilities of the target's tokens, or of the classes that they are in [rows, tokens]."""

    first: tuple[Tensor, Tensor]  # of p0 and p1, at a token's image or what it begins with
    classes: tuple[Tensor, Tensor]  # M p0 and M p1 of the token's class
    theirs: Tensor  # of the raw target, summed over the token's class
    known: Tensor  # whether the class is none of the remainder


OfMasses = Callable[[Masses, ChangeWeights], Tensor]
"""From probabilities on either side to the change [rows, tokens]."""


@dataclass(frozen=True)
class Way:
    """One way, of all tokens, of the likely ones, and where a token of the donor goes on."""

    images: Callable[[TokenWays], Tensor]
    """The tokens of the target that may be likely where one of the donor's is [vocab_donor]."""
    of_all: OfAll
    of_likely: OfLikely
    of_masses: OfMasses
