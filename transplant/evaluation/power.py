"""The power of a benchmark over chunks: how finely it can tell, and how many chunks a margin needs.

The mean of n chunks has the standard error sd / sqrt(n), and its interval of coverage `level` a
half-width of t(n - 1) standard errors. A model whose true mean clears a threshold by a margin m
passes where the interval's lower end clears it, with probability

    P(T > t_{(1 + level) / 2}),     T noncentral t with n - 1 degrees, noncentrality m sqrt(n) / sd

(Cohen 1988, Statistical Power Analysis, chapter 2). Chunks count as independent draws; those of one
document are a little alike, so that the true needs are rather higher.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transplant.errors import InputError
from transplant.evaluation.config import PowerConfig

MOST_CHUNKS = 10_000_000
"""A search for a number of chunks goes no further."""


@dataclass(frozen=True)
class Power:
    """What a number of chunks says about one criterion, in that criterion's own unit."""

    mean: float
    """Over the measured chunks."""
    sd: float
    """Standard deviation over the measured chunks."""
    standard_error: float
    """Of the mean over the protocol's chunks."""
    half_width: float
    """Of the interval over the protocol's chunks."""
    power: float
    """How often the protocol passes a model that clears the threshold by the margin."""
    chunks_for_interval: int
    """Chunks at which the interval's half-width is the margin."""
    chunks_for_power: int
    """Chunks at which such a model passes as often as was asked."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(self.__dict__)


def measure_power(
    values: Mapping[str, Sequence[float]],
    chunks: int,
    config: PowerConfig | None = None,
    *,
    level: float = 0.95,
) -> dict[str, Power]:
    """What the protocol can tell, criterion by criterion, from chunks that were measured.

    Args:
        values: of each criterion, one value for each measured chunk.
        chunks: how many the protocol draws.
        config: the margin, and how often a model that clears it shall pass.
        level: coverage of the interval that has to clear the threshold, in (0, 1).

    Raises:
        InputError: fewer than two measured chunks, or a margin too small to count chunks for.
    """
    config = config or PowerConfig()
    margin, power = config.margin, config.power
    found = {}
    for name, measured in values.items():
        mean, sd = _moments(name, measured)
        found[name] = Power(
            mean=mean,
            sd=sd,
            standard_error=sd / math.sqrt(chunks),
            half_width=half_width(sd, chunks, level),
            power=pass_rate(sd, chunks, margin, level),
            chunks_for_interval=_least(lambda n, sd=sd: half_width(sd, n, level) <= margin),
            chunks_for_power=_least(lambda n, sd=sd: pass_rate(sd, n, margin, level) >= power),
        )
    return found


def half_width(sd: float, chunks: int, level: float = 0.95) -> float:
    """Half the width of Student's interval of a mean over chunks; infinite for a single one."""
    from scipy import stats

    if chunks < 2:
        return math.inf
    return float(stats.t.ppf((1.0 + level) / 2.0, chunks - 1)) * sd / math.sqrt(chunks)


def pass_rate(sd: float, chunks: int, margin: float, level: float = 0.95) -> float:
    """How often the interval of a mean clears a threshold that the true mean clears by a margin."""
    from scipy import stats

    if chunks < 2:
        return 0.0
    if sd == 0.0:
        return 1.0
    critical = stats.t.ppf((1.0 + level) / 2.0, chunks - 1)
    noncentrality = margin * math.sqrt(chunks) / sd
    if noncentrality - critical > 8.0:  # scipy's noncentral t loses its way out there
        return 1.0
    return float(stats.nct.sf(critical, chunks - 1, noncentrality))


def _moments(name: str, measured: Sequence[float]) -> tuple[float, float]:
    if len(measured) < 2:
        raise InputError(
            f"the power for {name} needs a spread",
            expected="2 measured chunks or more",
            found=len(measured),
        )
    mean = math.fsum(measured) / len(measured)
    squares = math.fsum((value - mean) ** 2 for value in measured)
    return mean, math.sqrt(squares / (len(measured) - 1))


def _least(enough: Callable[[int], bool]) -> int:
    """The least number of chunks, 2 or more, that is enough; more chunks are never worse."""
    high = 2
    while not enough(high):
        if high > MOST_CHUNKS:
            raise InputError(
                "`margin` is too small for this benchmark",
                expected=f"one that {MOST_CHUNKS:,} chunks can tell",
                hint="a larger `margin`",
            )
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
