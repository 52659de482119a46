"""Backbone-update invariance: how much of a module's worth survives an update of its backbone.

    efficacy = (ppl_raw_updated - ppl_zero_shot) / (ppl_raw_updated - ppl_native_updated)

The native module is trained on the updated backbone. The published variant puts the native module
of the *old* backbone in its place, which no longer measures the same loss: where the update itself
made the domain harder or easier, it can be anything. Here it is only a number beside the others.

A native whose gain has an interval that includes 0 is no ceiling: no share of it is a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transplant.errors import InputError
from transplant.evaluation.evidence import no_ceiling
from transplant.evaluation.intervals import (
    Interval,
    ratio_interval,
    ratio_of_draws,
    t_interval,
    unbounded,
)
from transplant.evaluation.likelihood import Likelihood

RAW_UPDATED, NATIVE_UPDATED, ZERO_SHOT = "raw_updated", "native_updated", "zero_shot"
APPLIED = (ZERO_SHOT, "repaired")
"""How an old module is applied to an updated backbone."""
WITH_MODULE = "with_module"
"""The module on the old backbone: the native of the published formula."""
THRESHOLD = 0.5
RESAMPLES = 2_000
PASS, PASS_POINT, FAIL, NO_CEILING = "pass", "pass (point)", "fail", "no ceiling"


@dataclass(frozen=True)
class Efficacy:
    """One system's efficacy three ways, each with a 95 % interval; None without a ceiling."""

    ppl: Interval | None
    """As defined above, in perplexities."""
    nats: Interval | None
    """The same in log perplexities."""
    published: Interval
    """With the native of the old backbone, whatever that gains on the updated one: without bounds
    where that may be nothing, NaN where it is 0."""
    no_ceiling: str | None = None
    """Why `ppl` and `nats` are None: the native gains nothing on the updated backbone."""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        values = {
            "efficacy": self.ppl, "efficacy_nats": self.nats, "efficacy_published": self.published,
        }  # fmt: skip
        return {
            **{name: value and value.mean for name, value in values.items()},
            "interval": {name: value and value.as_list() for name, value in values.items()},
            **({} if self.no_ceiling is None else {"no_ceiling": self.no_ceiling}),
        }


def efficacy(raw: float, candidate: float, native: float) -> float:
    """(raw - candidate) / (raw - native), of perplexities or of their logarithms.

    Raises:
        InputError: the native is no better than the raw backbone, so that there is no scale.
    """
    if native >= raw:
        raise InputError(
            "the native module does not beat the raw backbone: there is nothing to keep",
            expected=f"below {raw:.4f}",
            found=f"{native:.4f}",
            hint="train the native module longer, or on more domain text",
        )
    return (raw - candidate) / (raw - native)


def weigh_update(likelihoods: Mapping[str, Likelihood], *, seed: int = 0) -> dict[str, Efficacy]:
    """The efficacy of every system on an updated backbone, intervals over documents.

    Args:
        likelihoods: on the same documents: `raw_updated`, `native_updated`, `with_module` (on the
            old backbone), and the systems to weigh, `zero_shot` among them.
        seed: of the bootstrap.

    Raises:
        InputError: a system is missing.
    """
    needed = (RAW_UPDATED, NATIVE_UPDATED, WITH_MODULE, ZERO_SHOT)
    missing = [name for name in needed if name not in likelihoods]
    if missing:
        raise InputError("efficacy without what it is measured by", found=f"no {missing}")
    raw, native = likelihoods[RAW_UPDATED], likelihoods[NATIVE_UPDATED]
    old = likelihoods[WITH_MODULE]
    why = no_ceiling(raw, native, seed=seed)
    gap = (raw.nats - native.nats).numpy()

    def in_nats(found: Likelihood) -> Interval:
        return ratio_interval((raw.nats - found.nats).numpy(), gap, resamples=RESAMPLES, seed=seed)

    return {
        name: Efficacy(
            ppl=None if why else _of_perplexities(raw, found, native, seed),
            nats=None if why else in_nats(found),
            published=_of_perplexities(raw, found, old, seed),
            no_ceiling=why,
        )
        for name, found in likelihoods.items()
        if name not in (RAW_UPDATED, NATIVE_UPDATED, WITH_MODULE)
    }


def over_seeds(found: Sequence[Efficacy]) -> Efficacy:
    """The mean over seeds with Student's interval; of one seed, what its documents said.

    A seed without a ceiling leaves none for the mean.
    """
    if len(found) == 1:
        return found[0]

    def mean(shares: Sequence[Interval | None]) -> Interval | None:
        means = [share.mean for share in shares if share is not None]
        return _over_means(means) if len(means) == len(shares) else None

    return Efficacy(
        ppl=mean([one.ppl for one in found]),
        nats=mean([one.nats for one in found]),
        published=_over_means([one.published.mean for one in found]),
        no_ceiling=next((one.no_ceiling for one in found if one.no_ceiling is not None), None),
    )


def verdict(found: Interval | None, threshold: float = THRESHOLD) -> str:
    """`pass` where the interval clears the threshold, `pass (point)` where only the mean does."""
    if found is None:
        return NO_CEILING
    if not found.mean >= threshold:  # NaN reaches none
        return FAIL
    return PASS if found.low >= threshold else PASS_POINT


def _over_means(means: Sequence[float]) -> Interval:
    """Student's interval; none where a mean is no number, as of a control without a perplexity."""
    if np.isfinite(means).all():
        return t_interval(means)
    with np.errstate(invalid="ignore"):
        return unbounded(float(np.mean(means)))


def _of_perplexities(
    raw: Likelihood, candidate: Likelihood, native: Likelihood, seed: int
) -> Interval:
    """Percentile bootstrap over documents, which are drawn whole; see `ratio_of_draws`.

    A perplexity that no float holds is infinite: a share with it has no bounds.
    """
    tokens = raw.tokens.numpy()
    sides = [side.nats.numpy() for side in (raw, candidate, native)]
    drawn = np.random.default_rng(seed).integers(len(tokens), size=(RESAMPLES, len(tokens)))

    def perplexities(rows: NDArray[np.int64]) -> list[NDArray[np.float64]]:
        counts = tokens[rows].sum(-1)
        return [np.exp(nats[rows].sum(-1) / counts) for nats in sides]

    with np.errstate(over="ignore", invalid="ignore"):
        worst, found, best = perplexities(np.arange(len(tokens)))
        again = perplexities(drawn)
        sample = float(worst - found), float(worst - best)
        draws = again[0] - again[1], again[0] - again[2]
    return ratio_of_draws(sample, *draws)
