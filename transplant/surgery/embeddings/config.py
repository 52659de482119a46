"""How embeddings are made; in a file of its own: reading a default must not load torch."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.errors import InputError
from transplant.validation import Count, check_bounds

METHODS = ("omp", "bridge", "decompose", "mean")
BEST = "best"  # whichever of METHODS costs least on calibration text
CHOICES = (BEST, *METHODS)


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """How rows are made for tokens that the target does not have."""

    method: str = BEST
    """`omp`, bridge, decompose, mean; or best, whichever costs least on calibration text."""
    atoms: Count = 64
    """Shared tokens that a row may be combined from, for `omp`."""
    ridge: float = 1e-2
    """Strength of the ridge, for `bridge`, relative to the mean variance of a dimension."""
    calibration_tokens: Count = 20_000
    """Tokens of calibration text that `best` compares the methods on."""

    def __post_init__(self) -> None:
        if self.method not in CHOICES:
            raise InputError("`method`", expected=f"one of {', '.join(CHOICES)}", found=self.method)
        check_bounds(self)
