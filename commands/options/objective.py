"""What `--objective` asks for, checked against what it needs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

import typer

from transplant.calibration.objectives.config import TRAINED, LearnConfig
from transplant.calibration.objectives.spec import ORACLE, SPECS, Spec, spec_of
from transplant.errors import InputError
from transplant.training.schedule import SCHEDULES

Objective = Annotated[
    str,
    typer.Option(
        help="What the interface is calibrated by, and what that needs: "
        + "; ".join(f"{name} ({', '.join(spec.needs)})" for name, spec in SPECS.items())
        + "."
    ),
]
Anchor = Annotated[
    str | None,
    typer.Option(help="The oracle: a module at work on the target, as in python@ref-llama."),
]
DomainTokens = Annotated[
    int | None, typer.Option(min=1, help="Tokens of domain text that the objective may read.")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Gradient steps at most.")]
Train = Annotated[
    str | None, typer.Option(help=f"What the objective moves: {' or '.join(TRAINED)}.")
]
Schedule = Annotated[
    str | None, typer.Option(help=f"Course of the learning rate: {' or '.join(SCHEDULES)}.")
]
Rate = Annotated[float | None, typer.Option("--learning-rate", help="Peak rate.")]


@dataclass(frozen=True, kw_only=True)
class ObjectiveChoice:
    """The options of an objective; None leaves the objective's own default."""

    objective: Objective = "closed-form"
    anchor: Anchor = None
    tokens: DomainTokens = None
    steps: Steps = None
    train: Train = None
    schedule: Schedule = None
    learning_rate: Rate = None

    @property
    def spec(self) -> Spec:
        """What the objective is, and what it needs."""
        return spec_of(self.objective)

    def check(self) -> None:
        """Refuses, before anything is loaded, what the objective lacks or has no use for.

        Raises:
            InputError: it names the option.
        """
        spec, says = self.spec, f"the objective {self.objective}"
        if ORACLE in spec.needs and self.anchor is None:
            raise InputError(
                f"{says} needs {' and '.join(spec.needs)}",
                expected="--anchor, a module at work on the target",
                hint="--anchor python@TARGET; abi train --backbone TARGET trains one",
            )
        idle: dict[str, object] = {"--anchor": self.anchor} if ORACLE not in spec.needs else {}
        if not spec.reads_domain:
            idle["--tokens"] = self.tokens
        if spec.learn is None:
            idle |= {"--steps": self.steps, "--train": self.train, "--schedule": self.schedule}
            idle["--learning-rate"] = self.learning_rate
        for option, value in idle.items():
            if value is not None:
                raise InputError(
                    f"{says} has no use for {option}",
                    expected=f"what it needs: {', '.join(spec.needs)}",
                )
        self.learn_config(0)  # a value out of range is refused here, too

    @property
    def pairs_budget(self) -> bool:
        """Whether its domain text is paired with the donor too, for the closed form before it."""
        return self.learn_config(0).paired_tokens > 0

    def learn_config(self, seed: int) -> LearnConfig:
        """The objective's recipe with what was asked for."""
        names = ("tokens", "steps", "train", "schedule", "learning_rate")
        asked = {name: value for name in names if (value := getattr(self, name)) is not None}
        return dataclasses.replace(self.spec.learn or LearnConfig(), **asked, seed=seed)
