"""Learning-rate schedules, as pure functions of the step."""

from __future__ import annotations

import math
from itertools import accumulate

# Shares of a run and factors on the peak rate, as published for corr-mse: 5e-3 x 4000 steps,
# 5e-4 x 3000, 5e-5 x 3000, 5e-6 x 6000, after a warm-up of 400 steps.
PHASES = ((4 / 16, 1.0), (3 / 16, 0.1), (3 / 16, 0.01), (6 / 16, 0.001))
PHASES_WARMUP = 400 / 16_000


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


def four_phases(step: int, total: int, *, warmup: float = PHASES_WARMUP) -> float:
    """The factor on the peak rate: linear warm-up, then four rates, each a tenth of the last.

    Args:
        step: the number of optimizer steps already taken.
        total: the number of steps of the whole run; at 16,000 it is the published schedule.
        warmup: the share of `total` spent warming up.
    """
    ends = accumulate(share for share, _ in PHASES)
    factor = next(
        (rate for end, (_, rate) in zip(ends, PHASES, strict=True) if step < round(end * total)),
        PHASES[-1][1],
    )
    return factor * min(1.0, (step + 1) / max(1, round(warmup * total)))


SCHEDULES = {"cosine": warmup_cosine, "phases": four_phases}
