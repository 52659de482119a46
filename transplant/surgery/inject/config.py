"""How a part is injected; in a file of its own: reading a default must not load torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from transplant.errors import InputError
from transplant.validation import Bounds, Count, above, at_least, check_bounds

GATE_KINDS = ("scalar", "vector", "input")
STARTS = ("auto", "identity", "fit")


@dataclass(frozen=True, kw_only=True)
class InjectConfig:
    """Bridges and gate of one injection."""

    gate: str = "scalar"
    """`scalar`, `vector` (one number for each dimension) or `input` (it depends on the input)."""
    opening: float = 0.0
    """The gate's first value: 0 leaves the target as it is, 1 has the donor's part alone."""
    mixture: Count = 1
    """Specialist bridges, mixed by a softmax over the input."""
    start: str = "auto"
    """`identity` where widths agree, `fit` to text, or `auto`: identity where it can be."""
    excerpts: Count = 200
    """Excerpts of text to fit on."""
    held_out_excerpts: Count = 40
    """Excerpts of the calibration split on which the fit is judged."""
    excerpt_chars: int = 600
    """Characters of each."""
    ridge: float = 1e-3
    """Strength of both fits, relative to the mean variance of a feature."""
    seed: int = 0
    """Of what tells specialists apart."""

    def __post_init__(self) -> None:
        if self.gate not in GATE_KINDS:
            raise InputError("`gate`", expected=f"one of {', '.join(GATE_KINDS)}", found=self.gate)
        if self.start not in STARTS:
            raise InputError("`start`", expected=f"one of {', '.join(STARTS)}", found=self.start)
        check_bounds(self)
        at_least(self, 40, "excerpt_chars")


@dataclass(frozen=True, kw_only=True)
class BridgeTrainConfig:
    """How bridges, and after them the gate, are trained."""

    steps: Annotated[int, Bounds(0)] = 300
    """Steps toward what the target's own part adds (mean squared error)."""
    batch: Count = 8
    """Windows per step."""
    learning_rate: float = 1e-3
    """Peak rate of AdamW for the bridges."""
    balance: float = 0.01
    """Weight of what keeps specialists in use, relative to the variance of the target."""
    lm_steps: Annotated[int, Bounds(0)] = 0
    """Steps on the next-token loss after that, in which the gate moves too."""
    lm_batch: Count = 4
    """Windows per such step."""
    lm_rate: float = 1e-3
    """Peak rate of AdamW in these steps."""
    gate_rate: float = 2e-2
    """The same for the gate, which has to cover a distance of about 1."""
    evaluate_every: Count = 50
    """Steps between looks at the calibration split; the best look is kept, the start included."""
    warmup: float = 0.05
    """Share of the steps spent warming up."""
    clip: float = 1.0
    """Largest gradient norm."""
    seed: int = 0
    """Seed of the order of the windows."""

    def __post_init__(self) -> None:
        check_bounds(self)
        at_least(self, 0, "balance")
        above(self, 0, "learning_rate", "lm_rate", "gate_rate")
