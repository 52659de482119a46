"""How a backbone is updated, and its modules repaired and judged: `invariance`, `succession`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options.shared import EVAL_TOKENS, EvalTokens, Rate
from transplant.calibration.config import RepairConfig
from transplant.training.config import UPDATE_KINDS, UpdateConfig

if TYPE_CHECKING:
    from commands.session import Session
    from transplant.workflows.update.study import Study

UPDATE, REPAIR = UpdateConfig(), RepairConfig()

Kind = Annotated[str, typer.Option(help=f"One of: {', '.join(UPDATE_KINDS)}.")]
TrainInterface = Annotated[
    bool,
    typer.Option(
        "--train-interface/--freeze-interface", help="Whether the interface follows that term too."
    ),
]


@dataclass(frozen=True, kw_only=True)
class UpdateOptions:
    """The options of every verb that updates a backbone."""

    kind: Kind = UPDATE.kind
    steps: Annotated[int, typer.Option(help="Steps of an update.")] = UPDATE.steps
    batch: Annotated[int, typer.Option(help="Windows per step of an update.")] = UPDATE.batch
    window: Annotated[int, typer.Option(help="Tokens per window of an update.")] = UPDATE.window
    learning_rate: Rate = UPDATE.learning_rate
    stability: Annotated[
        float, typer.Option(help="Weight of the term that holds z; 0 for none.")
    ] = UPDATE.stability
    train_interface: TrainInterface = UPDATE.train_interface
    repair_tokens: Annotated[
        int, typer.Option(min=64, help="Tokens of shared text that a repair reads.")
    ] = REPAIR.tokens
    eval_tokens: EvalTokens = EVAL_TOKENS

    def study(self, session: Session) -> Study:
        """The study that they describe."""
        from transplant.workflows.update.study import Study

        config = dataclasses.replace(
            UPDATE, kind=self.kind, steps=self.steps, batch=self.batch, window=self.window,
            learning_rate=self.learning_rate, stability=self.stability,
            train_interface=self.train_interface, seed=session.seed,
        )  # fmt: skip
        repair = dataclasses.replace(REPAIR, tokens=self.repair_tokens)
        return Study(session, config, repair, self.eval_tokens)
