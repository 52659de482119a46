"""How embeddings are made; in a file of its own: reading a default must not load torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from transplant.errors import InputError
from transplant.validation import Bounds, check_bounds

METHODS = ("omp", "bridge", "decompose", "mean")
BEST = "best"  # whichever of METHODS costs least on calibration text
CHOICES = (BEST, *METHODS)
ATOMS = 64
"""Of a row, where no number is asked for."""
CALIBRATION_TOKENS = 20_000
"""Of text to choose on, where no number is asked for."""
READ_BY = {"atoms": (BEST, "omp"), "calibration_tokens": (BEST,)}
"""Fields that are for some methods alone, and those methods."""


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """How rows are made for tokens that the target does not have."""

    method: str = BEST
    """`omp`, bridge, decompose, mean; or best, whichever costs least on calibration text."""
    atoms: Annotated[int | None, Bounds(1)] = None
    """Shared tokens that a row may be combined from, by omp; None for 64."""
    ridge: float = 1e-2
    """Strength of the ridge, for `bridge`, relative to the mean variance of a dimension."""
    calibration_tokens: Annotated[int | None, Bounds(1)] = None
    """Tokens of calibration text that best compares the methods on; None for 20000."""

    def __post_init__(self) -> None:
        """Refuses a method that there is not, and what a method has no use for.

        Raises:
            InputError: it names the parameter.
        """
        if self.method not in CHOICES:
            raise InputError("`method`", expected=f"one of {', '.join(CHOICES)}", found=self.method)
        check_bounds(self)
        for name, methods in READ_BY.items():
            if getattr(self, name) is not None and self.method not in methods:
                raise InputError(
                    f"`method={self.method!r}` has no use for `{name}`",
                    expected=f"`{name}` with {' or '.join(methods)}",
                )

    def by(self, method: str) -> EmbedConfig:
        """The same by one method, without what others alone read."""
        unread = {name: None for name, methods in READ_BY.items() if method not in methods}
        return dataclasses.replace(self, method=method, **unread)
