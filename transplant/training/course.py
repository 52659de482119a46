"""How far a training is, what was held out of it said, and when its patience ends."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class Course:
    """How far a run is: all of it but the tensors."""

    step: int = 0
    best_loss: float = math.inf
    best_step: int = 0
    looks_without_gain: int = 0
    history: list[list[float]] = field(default_factory=list)
    """Step and held-out loss of each look."""
    losses: list[float] = field(default_factory=list)
    """Of the batch of each step."""

    @classmethod
    def starting_at(cls, loss: float) -> Course:
        """One whose start is a look, too: what is no better than it is not kept."""
        return cls(best_loss=loss, history=[[0, loss]])

    def look(self, loss: float) -> bool:
        """Notes the held-out loss of the present step; whether it is the least so far.

        Where it is, the caller keeps the tensors; one that is NaN is never the least.
        """
        self.history.append([self.step, loss])
        if loss < self.best_loss:
            self.best_loss, self.best_step, self.looks_without_gain = loss, self.step, 0
            return True
        self.looks_without_gain += 1
        return False

    def goes_on(self, steps: int, patience: int) -> bool:
        """Whether there is a step to take: neither all are taken nor as many looks in vain."""
        return self.step < steps and self.looks_without_gain < patience

    def told(self) -> list[tuple[int, float, float | None]]:
        """Step, loss and held-out loss of the steps so far, as `LossNote` takes them."""
        held = {int(step): loss for step, loss in self.history}
        return [(step, loss, held.get(step)) for step, loss in enumerate(self.losses, 1)]
