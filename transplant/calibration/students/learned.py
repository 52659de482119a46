"""A student that has learned, and those that were tried beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transplant.modules.correction import Correction
from transplant.modules.linear import LinearCorrection
from transplant.surgery.lora.update import LoraUpdate


@dataclass(frozen=True)
class TriedStudent:
    """One student that was tried."""

    student: str
    gain: float
    """The factor on its correction."""
    loss: float
    """Nats per token on the calibration split."""
    seconds: float
    """That it took, after the linear student, from which others start; of that one its own."""


@dataclass(frozen=True)
class Learned:
    """A student at work on the target, with its gain, and all that were tried."""

    student: str
    correction: Correction | LinearCorrection | LoraUpdate
    """Behind the target, or inside it."""
    gain: float
    loss: float
    """Nats per token on the calibration split."""
    tried: tuple[TriedStudent, ...] = ()
    left_out: tuple[str, ...] = ()
    """Those that `auto` did not try: they are slow where the target is."""
    facts: dict[str, Any] | None = None
    """How it was learned."""
