"""Templates of minimal pairs: each choice of its words makes a couple of two mirrored pairs.

In a couple the words that are right in one pair are wrong in the other, so that both sides of it
hold the same words in total. A score that knows words, and not their order, prefers the right side
of one of the two and the wrong side of the other: it is right in half of the pairs, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

GAP = "___"
"""Where the word stands that decides."""


@dataclass(frozen=True)
class MinimalPair:
    """Two texts, and why one of them is right."""

    good: str
    bad: str
    label: str
    """The property that makes `good` right, such as the number of its subject."""


Couple = tuple[MinimalPair, MinimalPair]


@dataclass(frozen=True)
class Template:
    """One construction of a grammar.

    Args:
        field: its name.
        slots: what may be chosen at each place. Different choices make different texts.
        build: from one choice of each slot to a couple.
    """

    field: str
    slots: tuple[Sequence[Any], ...]
    build: Callable[..., Couple]

    @property
    def couples(self) -> int:
        """How many couples it can make."""
        return math.prod(map(len, self.slots))

    def couple(self, number: int) -> Couple:
        """One of them, by a number in [0, couples): the digits choose, the last slot first."""
        chosen: list[Any] = []
        for slot in reversed(self.slots):
            number, digit = divmod(number, len(slot))
            chosen.append(slot[digit])
        return self.build(*reversed(chosen))


def swapped(contexts: tuple[str, str], words: tuple[str, str], labels: tuple[str, str]) -> Couple:
    """A couple of two contexts with a gap, each of which takes one of two words.

    Args:
        contexts: texts with one `GAP`.
        words: the right word of each; it is the wrong one of the other.
        labels: the property of each context that decides.
    """
    first, second = contexts
    one, other = words
    return (
        MinimalPair(first.replace(GAP, one), first.replace(GAP, other), labels[0]),
        MinimalPair(second.replace(GAP, other), second.replace(GAP, one), labels[1]),
    )
