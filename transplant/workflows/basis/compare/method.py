"""A method of a comparison: what it trains in a copy of the backbone, and what a step calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

from torch import Tensor, nn

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.basis.maps import LinearMap
    from transplant.text.windows import Window


Made = TypeVar("Made")


class Once:
    """What does not differ from cell to cell: the first one that asks for it computes it.

    Seconds and memory that this took are every cell's own, as if each had computed it.

    Args:
        peak: the most bytes so far that the running cell has held; None where nobody counts.
    """

    def __init__(self, peak: Callable[[], int | None] = lambda: None) -> None:
        self._peak = peak
        self._made: dict[Hashable, tuple[object, float, int]] = {}
        self.begin()

    def begin(self) -> None:
        """Begins a cell."""
        self.saved = 0.0
        """Seconds that the cell did not spend again."""
        self.held = 0
        """The most bytes that were held where they were spent."""

    def __call__(self, name: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` gave the first time; a name is always asked for with the same `make`."""
        if name in self._made:
            made, seconds, held = self._made[name]
            self.saved += seconds
            self.held = max(self.held, held)
            return cast("Made", made)
        began = time.monotonic()
        made = make()
        self._made[name] = made, time.monotonic() - began, self._peak() or 0
        return made


@dataclass(frozen=True)
class Scene:
    """What every method is given."""

    backbone: Backbone
    """A copy that it may change."""
    maps: Sequence[LinearMap]
    """Of the copy: those that are adapted."""
    windows: Sequence[Window]
    """The training split, from which methods that look at data take their calibration."""
    kept: Sequence[Window]
    """Text that is to be kept, of its training split, for methods that heed it."""
    rank: int
    """Of the LoRA whose parameters are the budget."""
    steps: int
    seed: int
    once: Once = field(default_factory=Once)
    """What the cells of a comparison compute once."""

    @property
    def budget(self) -> int:
        """Trainable parameters: those of a LoRA of that rank on these maps."""
        return self.rank * sum(m.out + m.into for m in self.maps)

    @property
    def names(self) -> list[str]:
        """Of the maps."""
        return [m.name for m in self.maps]


class Moving(nn.Module):
    """Parameters that are trained, wherever they stand.

    Args:
        parameters: those that ask for a gradient are taken.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__()
        self.held = nn.ParameterList(p for p in parameters if p.requires_grad)

    @property
    def count(self) -> int:
        """How many numbers they are."""
        return sum(p.numel() for p in self.held)


@dataclass(frozen=True)
class Prepared:
    """A method at its first step."""

    moving: Moving
    working: Callable[[], AbstractContextManager[object]] = nullcontext
    """Has at work in the backbone what does not stand in it already."""
    learned: Callable[[int], None] = lambda _step: None
    """Called behind each step, as long as its gradient is there."""
    penalty: Callable[[], Tensor] | None = None
    """Added to the loss of every step."""
    facts: dict[str, object] = field(default_factory=dict)
    """What the record tells of it."""


Method = Callable[[Scene], Prepared]
"""Prepares a method; what it computes before the first step is timed."""
