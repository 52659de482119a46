"""The plan of a validation: texts, tasks and budgets, and the names of what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from transplant.counterfactuals.grammars import GRAMMARS
from transplant.errors import InputError
from transplant.evaluation.config import EXTENDED_SEEDS, NIBConfig


@dataclass(frozen=True, kw_only=True)
class Suite:
    """How much is measured."""

    eval_tokens: int
    """Held-out tokens of each text."""
    pairs: int
    """Minimal pairs of each task."""
    nib_seeds: tuple[int, ...]
    """Draws of the NIB's chunks."""


SUITES = {
    "quick": Suite(eval_tokens=4_000, pairs=200, nib_seeds=(NIBConfig().seed,)),
    "full": Suite(eval_tokens=40_000, pairs=1_000, nib_seeds=EXTENDED_SEEDS),
}

PER_TEXT = (
    "perplexity", "gain", "ece", "drift.js", "drift.psi", "nib.top5", "nib.top1", "nib.js",
    "nib.entropy",
)  # fmt: skip
PER_GENERAL = ("forgetting",)
PER_TASK = ("accuracy", "accuracy_gain")
WITHOUT_INTERVAL = ("drift.psi",)


@dataclass(frozen=True, kw_only=True)
class ValidationPlan:
    """What is compared.

    Args:
        model: the hosted model to judge.
        baseline: what it is held against, of the same tokenizer.
        domains: texts that the model is for, by name.
        general: texts that it must not get worse on, by name.
        pairs: files of minimal pairs of the user's own, by name.
        suite: one of SUITES.
        window: tokens that are read at once.
    """

    model: str
    baseline: str
    domains: Mapping[str, str] = field(default_factory=dict)
    general: Mapping[str, str] = field(default_factory=dict)
    pairs: Mapping[str, str] = field(default_factory=dict)
    suite: str = "quick"
    window: int = 512

    def __post_init__(self) -> None:
        """Checks the names.

        Raises:
            InputError: no such suite, or a name that is taken twice.
        """
        if self.suite not in SUITES:
            raise InputError("`suite`", expected=f"one of {', '.join(SUITES)}", found=self.suite)
        for one, other, what in (
            (self.domains, self.general, "texts"),
            (self.pairs, GRAMMARS, "files of pairs"),
        ):
            if twice := set(one) & set(other):
                raise InputError(f"the names of {what}", expected="each once", found=min(twice))

    @property
    def budgets(self) -> Suite:
        """How much is measured."""
        return SUITES[self.suite]

    @property
    def texts(self) -> dict[str, str]:
        """All texts by name."""
        return {**self.domains, **self.general}

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all that is measured, as gates call it."""
        return (
            *(f"{kind}.{text}" for text in self.texts for kind in PER_TEXT),
            *(f"{kind}.{text}" for text in self.general for kind in PER_GENERAL),
            *(f"{kind}.{task}" for task in (*GRAMMARS, *self.pairs) for kind in PER_TASK),
        )
