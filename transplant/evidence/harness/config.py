"""Configuration of a run of benchmark tasks."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.errors import InputError


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """How tasks are asked."""

    limit: int | None = None
    """The first so many questions of each task; None for all of them."""
    shots: int | None = None
    """Examples before each question; None for what the task says."""
    batch: int = 1
    """Texts that are read at once."""
    resamples: int = 1000
    """Of the bootstrap, for the standard errors of what has no formula."""

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
            InputError: a field outside its range.
        """
        for name, least in (("limit", 1), ("shots", 0), ("batch", 1), ("resamples", 2)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"`{name}`", expected=f">= {least}", found=value)
