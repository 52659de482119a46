"""How modules are fused; in a file of its own: reading a default must not load torch."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.errors import InputError
from transplant.validation import Count, Length, above, check_bounds

COMBINER_NAMES = ("gate", "attention")
RANDOM, DRAWN = "random_slot", "random_member"
"""Controls: a random module behind the last member's maps, and one behind drawn maps."""


@dataclass(frozen=True, kw_only=True)
class FuseConfig:
    """How the weights of several modules are learnt; nothing else moves."""

    steps: Count = 100
    """Optimizer steps on the next-token loss."""
    batch: Count = 4
    """Windows per step."""
    window: Length = 256
    """Tokens per window."""
    train_tokens: Count = 200_000
    """Tokens of the training split that are used, shared evenly between the texts."""
    calibration_tokens: Count = 8_000
    """The same of the calibration split, which chooses the step and the combiner."""
    learning_rate: float = 3e-2
    """Peak rate of AdamW. It moves a parameter by about steps * rate / 2 in all, and the openings
    start at 0: what that product leaves below 1 is missing from every weight."""
    warmup: float = 0.05
    """Share of the steps spent warming up."""
    clip: float = 1.0
    """Largest gradient norm."""
    evaluate_every: Count = 25
    """Steps between looks at the calibration split; the best look is kept, the start included."""
    seed: int = 0
    """Of the order of the windows and of what a combiner draws."""

    def __post_init__(self) -> None:
        check_bounds(self)
        above(self, 0, "learning_rate")


def check_combiner(name: str) -> str:
    """Returns the name of a combiner.

    Raises:
        InputError: there is none of that name.
    """
    if name not in COMBINER_NAMES:
        raise InputError("`combiner`", expected=f"one of {', '.join(COMBINER_NAMES)}", found=name)
    return name
