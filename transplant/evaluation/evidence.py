"""Evidence of a move: recovered, and how much of it came from the donor and from the module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from transplant.errors import InputError, ShapeError
from transplant.evaluation.intervals import Interval, paired_bootstrap, ratio_interval
from transplant.evaluation.likelihood import Likelihood

RAW, NATIVE, CANDIDATE = "raw", "native", "candidate"
DONOR_FREE = (RAW, "random_module", "shuffled_pairs")
MODULE_FREE = ("linear_surrogate", "random_refitted")
NO_NATIVE = "no ceiling: no native was asked for"
DONOR_ALONE = "donor_alone"  # the raw log ratio, where it was added: no module, nothing learned


@dataclass(frozen=True)
class Evidence:
    """The numbers of DESIGN section 4, each with a 95 % interval over held-out documents."""

    ppl: dict[str, float]
    recovered: dict[str, Interval | None]
    donor_attributable: Interval | None
    best_donor_free: str
    module_attributable: Interval | None
    best_module_free: str | None
    """None where no control is module-free: what was moved is no module."""
    difference: dict[str, Interval]
    """By how many nats per token each other system is worse than the candidate."""
    documents: int
    tokens: int
    no_ceiling: str | None = None
    """Why nothing is recovered of what the native gains: it gains nothing. No share is given."""

    def as_dict(self) -> dict[str, object]:
        """For JSON: the values, and their intervals beside them under `interval`."""
        return {
            "ppl": self.ppl,
            "recovered": {name: _mean(value) for name, value in self.recovered.items()},
            "donor_attributable": _mean(self.donor_attributable),
            "module_attributable": _mean(self.module_attributable),
            "best_donor_free": self.best_donor_free,
            "best_module_free": self.best_module_free,
            "difference": {name: in_nats(value) for name, value in self.difference.items()},
            "interval": {
                "recovered": {name: _bounds(value) for name, value in self.recovered.items()},
                "donor_attributable": _bounds(self.donor_attributable),
                "module_attributable": _bounds(self.module_attributable),
            },
            "eval": {"documents": self.documents, "tokens": self.tokens},
            **({} if self.no_ceiling is None else {"no_ceiling": self.no_ceiling}),
        }


def _mean(value: Interval | None) -> float | None:
    return None if value is None else value.mean


def _bounds(value: Interval | None) -> list[float] | None:
    return None if value is None else value.as_list()


def no_ceiling(raw: Likelihood, native: Likelihood, *, seed: int = 0) -> str | None:
    """Why no share of a native's gain can be given; None where it gains beyond its interval.

    One document has no interval: it does not tell whether others gain as well.
    """
    gain = difference(raw, native, seed=seed)
    if len(raw.tokens) < 2:
        return f"no ceiling: one document, on which the native gains {gain.mean:.4f} nats per token"
    if gain.low > 0:
        return None
    bounds = f"{gain.low:.4f} .. {gain.high:.4f}"
    return f"no ceiling: the native gains {gain.mean:.4f} nats per token ({bounds})"


@dataclass(frozen=True)
class Ceiling:
    """What the native gains over the raw backbone, and the shares of it that others gain.

    Where the interval of that gain includes 0 there is no ceiling, and no share is a number.

    Args:
        likelihoods: `raw`, `native` where there is one, and the systems to judge, on the same
            documents.
        seed: of the bootstraps over documents.
    """

    likelihoods: Mapping[str, Likelihood]
    seed: int = 0

    @cached_property
    def missing(self) -> str | None:
        """Why no share can be given; None where one can."""
        if NATIVE not in self.likelihoods:
            return NO_NATIVE
        return no_ceiling(self.likelihoods[RAW], self.likelihoods[NATIVE], seed=self.seed)

    @property
    def reason(self) -> dict[str, str]:
        """For JSON, beside shares that are null."""
        return {} if self.missing is None else {"no_ceiling": self.missing}

    def share(self, worse: str, better: str) -> Interval | None:
        """(nats_worse - nats_better) / (nats_raw - nats_native), documents resampled whole."""
        if self.missing is not None:
            return None
        nats = {name: value.nats.numpy() for name, value in self.likelihoods.items()}
        gap = nats[RAW] - nats[NATIVE]  # a single document's gap may be negative, the sum is not
        return ratio_interval(nats[worse] - nats[better], gap, seed=self.seed)

    def recovered(self, name: str) -> Interval | None:
        """`recovered` of one system, with its interval over documents."""
        return self.share(RAW, name)

    def row(self, name: str) -> dict[str, object]:
        """`recovered` of one system for JSON, and its interval."""
        share = self.recovered(name)
        return {"recovered": _mean(share), "interval": _bounds(share)}


def weigh(
    likelihoods: Mapping[str, Likelihood], *, seed: int = 0,
    donor_free: tuple[str, ...] = DONOR_FREE, module_free: tuple[str, ...] = MODULE_FREE,
    ceiling: bool = True,
) -> Evidence:  # fmt: skip
    """Turns held-out likelihoods into evidence.

    recovered(x) = (log ppl_raw - log ppl_x) / (log ppl_raw - log ppl_native); the attributable
    shares are recovered(candidate) minus that of the best control of their kind. Where the
    interval of the native's gain includes 0 there is no ceiling, and no share is a number.

    Args:
        likelihoods: `raw`, `native`, `candidate` and the controls, on the same documents.
        seed: of the bootstrap over documents.
        donor_free: the controls that hold nothing of what moves: of a module, nothing of the
            donor's; of a fine-tune, none of what was learned. Its base alone, `donor_alone`, is
            one.
        module_free: those without the module's own weights; none where no module was moved. Where
            there are any, `donor_alone` is weighed with them: it has no module either.
        ceiling: whether a native is among them; no share is a number without one.

    Raises:
        InputError: a system is missing.
    """
    needed = (*donor_free, *module_free, *((NATIVE,) if ceiling else ()), CANDIDATE)
    missing = [name for name in needed if name not in likelihoods]
    if missing:
        raise InputError("evidence without its controls", expected="all", found=f"no {missing}")
    shares = Ceiling(likelihoods, seed)

    def best(names: tuple[str, ...]) -> str:
        return min(names, key=lambda name: likelihoods[name].per_token)

    own_word = (DONOR_ALONE,) if DONOR_ALONE in likelihoods else ()
    best_free = best(donor_free)
    best_module_free = best((*module_free, *own_word)) if module_free else None
    return Evidence(
        ppl={name: value.perplexity for name, value in likelihoods.items()},
        recovered={name: shares.recovered(name) for name in likelihoods if name != RAW},
        donor_attributable=shares.share(best_free, CANDIDATE),
        best_donor_free=best_free,
        module_attributable=(
            None if best_module_free is None else shares.share(best_module_free, CANDIDATE)
        ),
        best_module_free=best_module_free,
        difference={
            name: difference(value, likelihoods[CANDIDATE], seed=seed)
            for name, value in likelihoods.items()
            if name != CANDIDATE
        },
        documents=len(likelihoods[RAW].tokens),
        tokens=int(likelihoods[RAW].tokens.sum()),
        no_ceiling=shares.missing,
    )


def difference(worse: Likelihood, better: Likelihood, *, seed: int = 0) -> Interval:
    """log ppl_worse - log ppl_better in nats per token, with a paired bootstrap over documents.

    Both are resampled together, document by document: what makes a document hard for the one makes
    it hard for the other too, and cancels.

    Args:
        worse: the system that is expected to be worse; below 0 where it is better.
        better: the other one, on the same documents.
        seed: of the bootstrap.

    Raises:
        ShapeError: the two were not scored on the same documents.
    """
    if worse.tokens.tolist() != better.tokens.tolist():
        raise ShapeError(
            "a paired difference needs both systems on the same documents",
            expected=f"{len(better.tokens)} documents, {better.tokens.sum():.0f} tokens",
            found=f"{len(worse.tokens)} documents, {worse.tokens.sum():.0f} tokens",
        )
    return paired_bootstrap(
        worse.nats.numpy(), better.nats.numpy(), better.tokens.numpy(), seed=seed
    )


def in_nats(value: Interval) -> dict[str, object]:
    """A difference for JSON."""
    return {"nats": value.mean, "interval": value.as_list()}
