"""How advice is measured, and where its numbers turn from no to yes."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.evaluation.uq_config import BUDGET
from transplant.validation import Count, check_bounds


@dataclass(frozen=True, kw_only=True)
class AdviceConfig:
    """How much is read."""

    excerpts: Count = 60
    """Excerpts of the training split that alignments are fitted on."""
    held_out: Count = 20
    """Excerpts of the calibration split that they are judged on."""
    taps: Count = 6
    """Layers of each backbone, at most, evenly spread."""
    impact_tokens: Count = 3000
    """Held-out tokens that each part of the target is silenced on."""
    characters: Count = 200_000
    """Of each text, to count tokens in."""
    text_chars: Count = 1_500_000
    """Of each text, to take all of these from; more where they need it."""

    def __post_init__(self) -> None:
        """Check that nothing is empty.

        Raises:
            InputError: it names the field.
        """
        check_bounds(self)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What each number is compared with."""

    same_space: float = 0.95
    """Mean cosine of z of two cores, without any map, from which a module's bytes can be pasted."""
    aligned: float = 0.3
    """Held-out R2 of the input map: 0.57 to 0.72 between shipped backbones, 0 of shuffled pairs."""
    vocabulary: float = 0.85
    """Share of the text in tokens that both have: moves did well at 0.93, badly at 0.73."""
    impact: float = 0.1
    """Nats per token that a part is worth, from which it counts as a place to work at."""
    divergence: float = 0.15
    """Jensen-Shannon divergence of two texts' tokens, in nats, from which they are two tasks: the
    halves of one text have 0.06 to 0.10, `prose` and `prose2` 0.13, `prose` and `python` 0.21."""
    same_correction: float = 0.5
    """Mean cosine of two modules' corrections, under which they do different work."""
    regress: float = BUDGET
    """Nats per token that documents which get worse may lose through a route, at its upper bound;
    the budget that the route was chosen by counts in its place."""
