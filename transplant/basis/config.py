"""The recipes of BASIS, in a file of their own: reading a default must not load torch."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.errors import InputError
from transplant.validation import above, at_least

SCORES = ("energy", "fisher", "uniform")


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How the directions of each linear map are found."""

    layers: str = "all"
    """The linear maps: `all`, ends of names as `q_proj,v_proj`, or a regular expression."""
    tokens: int = 50_000
    """Tokens of the training split that are read."""
    window: int = 256
    """Tokens per window."""
    max_rank: int = 256
    """Directions of each map that are kept, those of most energy: no later rank is larger."""
    floor: float = 1e-9
    """Share of a map's largest eigenvalue under which directions are dropped."""
    shrinkage: float = 0.0
    """Weight of the mean eigenvalue: K becomes (1 - s) K + s mean(diag K) I."""

    def __post_init__(self) -> None:
        at_least(self, 1, "tokens", "max_rank")
        at_least(self, 2, "window")
        for name in ("floor", "shrinkage"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(name, expected="0 to 1, without 1", found=getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class AllocateConfig:
    """How one budget of parameters is spread over the maps."""

    budget: int | None = None
    """Trainable parameters: the sum of r^2 over the maps."""
    budget_like: str | None = None
    """In place of it, that of a LoRA on the same maps, as `lora:r=8`."""
    score: str = "fisher"
    """What a direction is worth: `fisher`, `energy` or `uniform`."""
    r_min: int = 0
    """The smallest rank of a map."""
    r_max: int | None = None
    """The largest rank of a map; None for all directions that are kept."""
    step: int = 4
    """Ranks are multiples of this, or the largest one of a map."""
    tokens: int = 20_000
    """Tokens that `fisher` reads, forward and backward."""

    def __post_init__(self) -> None:
        at_least(self, 1, "step", "tokens")
        at_least(self, 0, "r_min")
        if self.score not in SCORES:
            raise InputError("`score`", expected=f"one of {', '.join(SCORES)}", found=self.score)
        if (self.budget is None) == (self.budget_like is None):
            raise InputError("a budget", expected="one of `budget` and `budget_like`")
        if self.budget is not None:
            at_least(self, 1, "budget")
        if self.budget_like is not None:
            lora_rank(self.budget_like)
        if self.r_max is not None and self.r_max < max(1, self.r_min):
            raise InputError("`r_max`", expected=f"at least {max(1, self.r_min)}", found=self.r_max)


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

    steps: int = 300
    """Optimizer steps."""
    batch: int = 4
    """Windows per step."""
    window: int = 256
    """Tokens per window."""
    train_tokens: int = 400_000
    """Tokens of the training split that are used."""
    calibration_tokens: int = 16_000
    """Tokens of the calibration split on which the best step is chosen."""
    learning_rate: float = 2e-3
    """Peak rate of AdamW."""
    warmup: float = 0.05
    """Share of the steps spent warming up."""
    clip: float = 1.0
    """Largest gradient norm."""
    evaluate_every: int = 50
    """Steps between looks at the calibration split."""
    seed: int = 0
    """Seed of the order of the windows."""

    def __post_init__(self) -> None:
        at_least(self, 1, "steps", "batch", "train_tokens", "calibration_tokens", "evaluate_every")
        at_least(self, 2, "window")
        above(self, 0, "learning_rate", "clip")
        if not 0 <= self.warmup < 1:
            raise InputError("warmup is a share of the steps", expected="0 to 1", found=self.warmup)
