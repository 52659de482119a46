"""An objective and its recipe: `calibrate`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

import typer

from transplant.calibration.objectives.choice import ObjectiveChoice
from transplant.calibration.objectives.config import TRAINED
from transplant.calibration.objectives.spec import SPECS
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
Rate = Annotated[float | None, typer.Option("--learning-rate", "--lr", help="Peak rate.")]

Chunks = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        help="Weight of the loss on chunks of text between characters at which tokens of both "
        "sides end, where an objective learns from pairs; default: 0.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class ObjectiveOptions:
    """The options of an objective; None leaves the objective's own default."""

    objective: Objective = "closed-form"
    anchor: Anchor = None
    tokens: DomainTokens = None
    steps: Steps = None
    train: Train = None
    schedule: Schedule = None
    learning_rate: Rate = None
    chunks: Chunks = None

    def choice(self) -> ObjectiveChoice:
        """The objective that they ask for.

        Raises:
            InputError: it lacks something, or has no use for an option.
        """
        chosen = ObjectiveChoice(**dataclasses.asdict(self))
        chosen.check()
        return chosen
