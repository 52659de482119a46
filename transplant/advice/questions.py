"""Questions of the flow of advice, each with the number that answers it."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.advice.config import Thresholds
from transplant.advice.measured import Measured


@dataclass(frozen=True)
class Answer:
    """One question of the flow, and the number that it was answered by."""

    question: str
    yes: bool
    number: float | None
    """None where there was nothing to measure."""
    threshold: float
    rests_on: str


def answer(found: Measured, against: Thresholds) -> tuple[Answer, ...]:
    """The questions of the flow, each with its number."""
    shared, impact = found.shared_cosine, max(found.impact.values(), default=None)
    apart, cosine = found.divergence, found.correction_cosine
    differ = apart is not None and apart >= against.divergence
    if cosine is not None:
        differ = differ or cosine < against.same_correction
    by_cosine = cosine is not None and (cosine < against.same_correction or apart is None)
    return (
        Answer(
            "the same space?", shared is not None and shared >= against.same_space, shared,
            against.same_space, "mean cosine of z, two cores as they are",
        ),
        Answer(
            "aligned?", found.r2 >= against.aligned, found.r2, against.aligned,
            "held-out R2 of the map from the target's layers to what the donor's modules read",
        ),
        Answer(
            "high-impact parts?", impact is not None and impact >= against.impact, impact,
            against.impact, "nats per token lost without the target's weightiest part"
            + (", by the trace" if found.traced else ""),
        ),
        Answer(
            "one vocabulary?", found.exact_text >= against.vocabulary, found.exact_text,
            against.vocabulary, "share of the text in tokens that both have",
        ),
        Answer(
            "one task?", not differ, cosine if by_cosine else apart,
            against.same_correction if by_cosine else against.divergence,
            "least cosine of two modules' corrections" if by_cosine
            else "largest divergence of two texts' tokens, in nats",
        ),
        Answer(
            "several candidates?", len(found.candidates) > 1, len(found.candidates), 2,
            "modules of the donor in the registry",
        ),
        _regress(found, against),
    )  # fmt: skip


def _regress(found: Measured, against: Thresholds) -> Answer:
    """Whether what is there already does no harm behind a route; unknown without one."""
    route, rests_on = found.route, "upper bound of the nats per token that a route loses"
    if route is None:
        return Answer("no regress?", False, None, against.regress, rests_on)
    tau = "all tokens to the baseline" if route.tau is None else f"tau {route.tau:.2f} nats"
    return Answer(
        "no regress?", route.regress <= route.budget, route.regress, route.budget,
        f"{rests_on} ({tau}, {route.coverage:.0%} its own)",
    )  # fmt: skip
