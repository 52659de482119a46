"""Learning-rate schedules, as pure functions of the step."""

from __future__ import annotations

import math


def warmup_cosine(step: int, total: int, *, warmup: float = 0.05, floor: float = 0.1) -> float:
    """The factor on the peak rate: linear warm-up, then a cosine down to `floor`.

    Args:
        step: the number of optimizer steps already taken.
        total: the number of steps of the whole run.
        warmup: the share of `total` spent warming up.
        floor: the factor at the end.
    """
    rising = max(1, round(warmup * total))
    if step < rising:
        return (step + 1) / rising
    progress = min(1.0, (step - rising) / max(1, total - rising))
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))
