"""Settings of the evidence: no torch here, so that the command line can read the defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from transplant.errors import InputError

EXTENDED_SEEDS = (7777, 1111, 2222, 3333, 4444)
"""The seeds of the extended NIB: the standard one, then four more draws of chunks."""


@dataclass(frozen=True, kw_only=True)
class NIBConfig:
    """The Non-Inferiority Benchmark: what is compared and what the candidate must reach."""

    seed: int = 7777
    """Draws the held-out chunks."""
    chunks: int = 5
    """Chunks drawn per seed."""
    chunk_length: int = 512
    """Tokens per chunk; a shorter window is never drawn."""
    skip: int = 20
    """First positions of each chunk left out: too little context to compare."""
    top5: float = 0.860
    """Least mean overlap of the two top-5 sets, as a share."""
    top1: float = 0.680
    """Least share of positions with the same first choice."""
    js: float = 0.100
    """Mean Jensen-Shannon divergence must stay below this, in nats."""
    entropy: float = 0.350
    """Mean absolute entropy difference must stay below this, in nats."""
    level: float = 0.95
    """Coverage of the bootstrapped intervals."""
    resamples: int = 10_000
    """Bootstrap resamples per interval."""

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
            InputError: a field outside its range.
        """
        _require(self.seed >= 0, "seed", ">= 0", self.seed)
        _require(self.chunks >= 1, "chunks", ">= 1", self.chunks)
        _require(self.skip >= 0, "skip", ">= 0", self.skip)
        longer = self.chunk_length > self.skip
        _require(longer, "chunk_length", f"> skip ({self.skip})", self.chunk_length)
        for name in ("top5", "top1"):
            share = getattr(self, name)
            _require(0.0 <= share <= 1.0, name, "a share between 0 and 1", share)
        for name in ("js", "entropy"):
            nats = getattr(self, name)
            _require(math.isfinite(nats) and nats > 0.0, name, "nats, > 0", nats)
        _require(0.0 < self.level < 1.0, "level", "between 0 and 1", self.level)
        _require(self.resamples >= 1, "resamples", ">= 1", self.resamples)

    @property
    def thresholds(self) -> Mapping[str, float]:
        """What each criterion is held against: a least value for top5 and top1, else a bound."""
        return {"top5": self.top5, "top1": self.top1, "js": self.js, "entropy": self.entropy}


@dataclass(frozen=True, kw_only=True)
class PowerConfig:
    """What the power of a benchmark is asked for."""

    margin: float = 0.01
    """The distance from a threshold that shall be told, in the criterion's own unit."""
    power: float = 0.80
    """How often a model that clears its threshold by the margin shall pass."""
    measured: int = 200
    """Chunks that the spread is measured over, at most."""

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
            InputError: a field outside its range.
        """
        _require(0.0 < self.margin < math.inf, "margin", "a distance above 0", self.margin)
        _require(0.0 < self.power < 1.0, "power", "between 0 and 1", self.power)
        _require(self.measured >= 2, "measured", ">= 2", self.measured)


def power_asked(power: bool, config: PowerConfig) -> PowerConfig | None:
    """The power that is asked for; None for none.

    Args:
        power: whether it is.
        config: how it is measured.

    Raises:
        InputError: a margin of its own, and no power.
    """
    if power:
        return config
    if config != PowerConfig():
        raise InputError(
            "`margin` is of the power", expected="`power` beside it", found=config.margin
        )
    return None


def _require(holds: bool, field: str, expected: str, found: object) -> None:
    if not holds:
        raise InputError(f"`{field}`", expected=expected, found=found)
