"""Names and needs of the objectives; no torch here, so that the command line can read it."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.calibration.objectives.config import LearnConfig
from transplant.errors import InputError

PAIRED = "paired text"
"""Any text that both backbones have read."""
UNLABELLED = "unlabelled domain text"
"""Text of the domain that the target reads; which token comes next is not used."""
DOMAIN = "domain text"
"""Text of the domain whose next tokens are learned."""
ORACLE = "an oracle"
"""A module that is at work on the target already: its native one, or an anchor."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One objective, without its mathematics."""

    says: str
    """What it does, in one line."""
    needs: tuple[str, ...]
    """What it cannot do without."""
    learn: LearnConfig | None = None
    """How it is learned by default; None: it is solved, without a gradient step."""
    gain: bool = False
    """Whether the calibration split chooses a factor on the correction afterwards."""

    @property
    def reads_domain(self) -> bool:
        """Whether it is given text of the domain, beyond what chooses a gain."""
        return DOMAIN in self.needs or UNLABELLED in self.needs


_FROM_ANCHOR = (ORACLE, UNLABELLED)
_CORR_MSE = LearnConfig(steps=400, learning_rate=5e-3)

SPECS: dict[str, Spec] = {
    "closed-form": Spec(
        says="P_in and P_out solved from pairs: what `transfer` does",
        needs=(PAIRED,), gain=True,
    ),
    "donor-kd": Spec(
        says="the target's logits, changed as the donor's were, are the teacher",
        needs=(PAIRED,), gain=True,
        learn=LearnConfig(train="p-out", steps=600, evaluate_every=50, patience=12),
    ),
    "donor-changes": Spec(
        says="the closed form's error at likely tokens, with P_in: no pass over the vocabulary",
        needs=(PAIRED,), gain=True,
        learn=LearnConfig(steps=600, batch=2, learning_rate=3e-4, evaluate_every=50),
    ),
    "corr-closed": Spec(
        says="P_out solved by least squares for the anchor's correction, behind the best P_in",
        needs=_FROM_ANCHOR,
    ),
    "corr-solve": Spec(
        says="the same with P_in searched for, P_out solved at every look: L-BFGS, no rate",
        needs=_FROM_ANCHOR,
    ),
    "corr-mse": Spec(
        says="mean squared error to the anchor's correction",
        needs=_FROM_ANCHOR, learn=_CORR_MSE,
    ),
    "corr-mse-weighted": Spec(
        says="the same error, measured by what it does to the logits",
        needs=_FROM_ANCHOR, learn=_CORR_MSE,
    ),
    "corr-mse-curriculum": Spec(
        says="corr-mse, on the smallest corrections first",
        needs=_FROM_ANCHOR, learn=_CORR_MSE,
    ),
    "logit-mse": Spec(
        says="mean squared error to the anchor's logits",
        needs=_FROM_ANCHOR, learn=LearnConfig(steps=400),
    ),
    "kl": Spec(
        says="divergence from the anchor's predictions, and nothing else",
        needs=_FROM_ANCHOR, learn=LearnConfig(steps=400),
    ),
    "kd": Spec(
        says="an oracle teaches: 0.9 T^2 KL + 0.1 cross-entropy, T = 2",
        needs=(ORACLE, DOMAIN), learn=LearnConfig(steps=400),
    ),
    "lm": Spec(
        says="next tokens of a budget of domain text, held to the interface that it starts from",
        needs=(DOMAIN,),
        learn=LearnConfig(steps=600, learning_rate=3e-4, pull=1e-3, paired_tokens=32_000),
    ),
    "lm+donor-kd": Spec(
        says="next tokens of a budget of domain text, while the donor teaches on it and on pairs",
        needs=(DOMAIN, PAIRED),
        learn=LearnConfig(
            steps=800, evaluate_every=50, donor_tokens=96_000, paired_tokens=32_000
        ),
    ),
    "lm+donor-changes": Spec(
        says="the same, and the donor teaches at likely tokens: for a large vocabulary",
        needs=(DOMAIN, PAIRED),
        learn=LearnConfig(
            steps=800, evaluate_every=50, donor_tokens=96_000, paired_tokens=32_000
        ),
    ),
}  # fmt: skip


def spec_of(name: str) -> Spec:
    """The objective of that name.

    Raises:
        InputError: there is none.
    """
    if name not in SPECS:
        raise InputError("unknown `objective`", expected=f"one of {', '.join(SPECS)}", found=name)
    return SPECS[name]
