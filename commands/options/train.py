"""How a module is trained: `train`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

import typer

from commands.options.shared import Rate, parse_taps
from transplant.training.config import TrainConfig

TRAIN = TrainConfig()


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The recipe of a module, as options."""

    d_abi: Annotated[int, typer.Option("--d-abi", help="Width of the shared space.")] = TRAIN.d_abi
    taps: Annotated[str, typer.Option(help="Layers: all, last, or a list as 0,2,3.")] = "last"
    steps: Annotated[int, typer.Option(help="Steps at most.")] = TRAIN.steps
    batch: Annotated[int, typer.Option(help="Windows per step.")] = TRAIN.batch
    window: Annotated[int, typer.Option(help="Tokens per window.")] = TRAIN.window
    tokens: Annotated[int, typer.Option(help="Training tokens used.")] = TRAIN.train_tokens
    learning_rate: Rate = TRAIN.learning_rate
    matmul_type: Annotated[
        str, typer.Option(help="Type of a step's matrix products: auto, float32 or bfloat16.")
    ] = TRAIN.matmul_type

    def config(self, seed: int) -> TrainConfig:
        """The recipe that they describe."""
        return dataclasses.replace(
            TRAIN, d_abi=self.d_abi, taps=parse_taps(self.taps), steps=self.steps,
            batch=self.batch, window=self.window, train_tokens=self.tokens,
            learning_rate=self.learning_rate, matmul_type=self.matmul_type, seed=seed,
        )  # fmt: skip
