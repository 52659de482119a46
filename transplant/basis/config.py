"""The recipes of BASIS, in a file of their own: reading a default must not load torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from transplant.errors import InputError
from transplant.validation import Bounds, Count, Length, above, check_bounds

OUTPUTS, GRADIENTS = "outputs", "gradients"
DIRECTIONS = (OUTPUTS, GRADIENTS)
AUTO, ENERGY, FISHER, UNIFORM, WIDTHS = "auto", "energy", "fisher", "uniform", "widths"
SCORES = (AUTO, ENERGY, FISHER, UNIFORM, WIDTHS)
GRADIENT_SHRINKAGE = 0.05
STEP = 4  # between ranks


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How the directions of each linear map are found."""

    layers: str = "all"
    """The linear maps: `all`, ends of names as `q_proj,v_proj`, or a regular expression."""
    directions: str = OUTPUTS
    """Those that the outputs of a map use (`outputs`), or those along which the loss wants it to
    read another way, measured by how little a text that is to be kept uses them (`gradients`)."""
    tokens: Count = 16_000
    """Tokens of the training split that are read."""
    window: Length = 256
    """Tokens per window."""
    max_rank: Count = 256
    """Directions of each map that are kept, those of most energy: no later rank is larger."""
    floor: float = 1e-9
    """Share of a map's largest eigenvalue under which directions are dropped."""
    shrinkage: float | None = None
    """Weight of the mean eigenvalue: K becomes (1 - s) K + s mean(diag K) I. None: 0, and 0.05 of
    `gradients`, which divide by K."""

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.directions not in DIRECTIONS:
            raise InputError(
                "`directions`", expected=f"one of {', '.join(DIRECTIONS)}", found=self.directions
            )
        for name in ("floor", "shrinkage"):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise InputError(
                    f"`{name}`", expected="0 to 1, without 1", found=getattr(self, name)
                )

    @property
    def shrunk(self) -> float:
        """The shrinkage that is taken."""
        if self.shrinkage is None:
            return GRADIENT_SHRINKAGE if self.directions == GRADIENTS else 0.0
        return self.shrinkage


@dataclass(frozen=True, kw_only=True)
class AllocateConfig:
    """How one budget of parameters is spread over the maps."""

    budget: Annotated[int | None, Bounds(1)] = None
    """Trainable parameters: the sum over the maps of r^2, of r times their outputs for a basis of
    gradients."""
    budget_like: str | None = None
    """In place of it, that of a LoRA on the same maps, as `lora:r=8`."""
    score: str = AUTO
    """What a direction is worth: `fisher`, `energy`, `uniform` (one rank for all) or `widths` (what
    a LoRA gives each map); `auto`: `fisher`, and `widths` for a basis of gradients."""
    r_min: Annotated[int, Bounds(0)] = 0
    """The smallest rank of a map."""
    r_max: Annotated[int | None, Bounds(1)] = None
    """The largest rank of a map; None for all directions that are kept."""
    step: Annotated[int | None, Bounds(1)] = None
    """Ranks are multiples of this, or the largest one of a map. None: 4, and 1 for `widths`."""
    tokens: Count = 4_000
    """Tokens that `fisher` reads, forward and backward."""

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.score not in SCORES:
            raise InputError("`score`", expected=f"one of {', '.join(SCORES)}", found=self.score)
        if (self.budget is None) == (self.budget_like is None):
            raise InputError("a budget", expected="one of `budget` and `budget_like`")
        if self.budget_like is not None:
            lora_rank(self.budget_like)
        if self.r_max is not None and self.r_max < max(1, self.r_min):
            raise InputError("`r_max`", expected=f"at least {max(1, self.r_min)}", found=self.r_max)

    def settled(self, directions: str) -> AllocateConfig:
        """The recipe for a basis of these directions: `auto` and a step of None are chosen.

        Raises:
            InputError: Fisher information, of directions of gradients.
        """
        if directions == GRADIENTS and self.score == FISHER:
            raise InputError(
                "`score`: Fisher information is of directions of outputs",
                expected="energy, uniform or widths, for a basis of gradients", found=self.score,
            )  # fmt: skip
        score = self.score
        if score == AUTO:
            score = WIDTHS if directions == GRADIENTS else FISHER
        step = self.step or (1 if score == WIDTHS else STEP)
        return dataclasses.replace(self, score=score, step=step)


def lora_rank(text: str) -> int:
    """The rank r of `lora:r=8`.

    Raises:
        InputError: it is no such text.
    """
    kind, _, rank = text.partition(":r=")
    if kind != "lora" or not rank.isdecimal() or int(rank) < 1:
        raise InputError("`budget_like`", expected="as lora:r=8", found=text)
    return int(rank)


@dataclass(frozen=True, kw_only=True)
class AdaptConfig:
    """How the matrices C are trained."""

    steps: Count = 300
    """Optimizer steps."""
    batch: Count = 4
    """Windows per step."""
    window: Length = 256
    """Tokens per window."""
    train_tokens: Count = 400_000
    """Tokens of the training split that are used."""
    calibration_tokens: Count = 16_000
    """Tokens of the calibration split on which the best step is chosen."""
    learning_rate: float = 2e-3
    """Peak rate of AdamW."""
    warmup: float = 0.05
    """Share of the steps spent warming up."""
    clip: float = 1.0
    """Largest gradient norm."""
    evaluate_every: Count = 50
    """Steps between looks at the calibration split."""
    seed: int = 0
    """Seed of the order of the windows."""

    def __post_init__(self) -> None:
        check_bounds(self)
        above(self, 0, "learning_rate", "clip")
        if not 0 <= self.warmup < 1:
            raise InputError("warmup is a share of the steps", expected="0 to 1", found=self.warmup)
