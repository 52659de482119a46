"""How a module is moved; in a file of its own: reading a default must not load torch."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.errors import InputError

METHODS = ("ridge", "procrustes")


@dataclass(frozen=True, kw_only=True)
class MoveConfig:
    """How the interface of the target is fitted."""

    excerpts: int = 500
    """Excerpts of pairing text, taken from its training split."""
    candidates: int = 6000
    """Excerpts at most that those are chosen from, the most like the domain first."""
    excerpt_chars: int = 600
    """Characters per excerpt."""
    held_out_excerpts: int = 60
    """Excerpts of the calibration split on which the alignment is judged."""
    taps: tuple[int, ...] = ()
    """Layers of the target that are read, -1 for the last; none means all of them."""
    method: str = "ridge"
    """The input map: `ridge`, or `procrustes` (a rotation of the principal directions)."""
    ridge: float = 1e-3
    """Ridge strength, relative to the mean variance of a feature."""
    output_ridge: float = 1e-3
    """The same for the map through the unembeddings."""
    gains: tuple[float, ...] = (0.5, 0.75, 1.0, 1.25)
    """Factors on the correction, of which the calibration split chooses one."""
    seed: int = 0
    """Seed of the excerpts and of the random controls."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError("unknown method", expected=f"one of {METHODS}", found=self.method)
        if self.excerpts <= 0 or self.held_out_excerpts <= 0 or self.excerpt_chars < 40:
            raise InputError(
                "pairing needs excerpts of at least 40 characters",
                found=(self.excerpts, self.held_out_excerpts, self.excerpt_chars),
            )
        if not self.gains or min(self.gains) <= 0:
            raise InputError("gains must be positive", found=self.gains)
