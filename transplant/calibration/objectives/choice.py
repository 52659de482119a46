"""An objective as it is asked for, checked against what it needs; no torch here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from transplant.calibration.objectives.config import TRAINED, LearnConfig
from transplant.calibration.objectives.spec import ORACLE, PAIRED, Spec, spec_of
from transplant.errors import InputError
from transplant.validation import Bounds, check_bounds


@dataclass(frozen=True, kw_only=True)
class ObjectiveChoice:
    """An objective and what is asked of it; None leaves the objective's own default."""

    objective: str = "closed-form"
    """Its name in the table of objectives."""
    anchor: str | None = None
    """The oracle: a module at work on the target, as `python@ref-llama`."""
    tokens: Annotated[int | None, Bounds(1)] = None
    """Tokens of domain text that the objective may read."""
    window_choice: str | None = None
    """Windows of a document of that text that are taken before its others: its first ones, or any,
    which the seed draws. Beginnings have a manner of their own, as headers and imports."""
    steps: Annotated[int | None, Bounds(1)] = None
    """Gradient steps at most."""
    train: str | None = None
    """What the objective moves: p-out or interface."""
    schedule: str | None = None
    """Course of the learning rate: cosine or phases."""
    learning_rate: float | None = None
    """Peak rate."""
    chunks: Annotated[float | None, Bounds(0)] = None
    """Weight of the loss on chunks of text between characters at which tokens of both sides end,
    where an objective learns from pairs; None for 0."""

    @property
    def spec(self) -> Spec:
        """What the objective is, and what it needs."""
        return spec_of(self.objective)

    def check(self) -> None:
        """Refuses, before anything is loaded, what the objective lacks or has no use for.

        Raises:
            InputError: it names the parameter.
        """
        check_bounds(self)
        spec, says = self.spec, f"the objective {self.objective}"
        if ORACLE in spec.needs and self.anchor is None:
            raise InputError(
                f"{says} needs {' and '.join(spec.needs)}",
                expected="`anchor`, a module at work on the target",
                hint="`train(backbone='TARGET', domain='NAME')`, then `anchor='NAME@TARGET'`",
            )
        idle: dict[str, object] = {"anchor": self.anchor} if ORACLE not in spec.needs else {}
        if not spec.reads_domain:
            idle |= {"tokens": self.tokens, "window_choice": self.window_choice}
        if spec.learn is None:
            idle |= {"steps": self.steps, "train": self.train, "schedule": self.schedule}
            idle["learning_rate"] = self.learning_rate
        if spec.learn is None or PAIRED not in spec.needs:
            idle["chunks"] = self.chunks
        for name, value in idle.items():
            if value is not None:
                raise InputError(
                    f"{says} has no use for `{name}`",
                    expected=f"what it needs: {', '.join(spec.needs)}",
                )
        self.learn_config(0)  # a value out of range is refused here, too

    @property
    def pairs_budget(self) -> bool:
        """Whether its domain text is paired with the donor too, for the closed form before it."""
        return self.learn_config(0).paired_tokens > 0

    def learn_config(self, seed: int) -> LearnConfig:
        """The objective's recipe with what was asked for."""
        if self.train not in (None, *TRAINED):  # what is calibrated keeps its module
            raise InputError("`train`", expected=f"one of {TRAINED}", found=self.train)
        names = (
            "tokens", "window_choice", "steps", "train", "schedule", "learning_rate", "chunks",
        )  # fmt: skip
        asked = {name: value for name in names if (value := getattr(self, name)) is not None}
        return dataclasses.replace(self.spec.learn or LearnConfig(), **asked, seed=seed)
