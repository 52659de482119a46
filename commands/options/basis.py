"""Options that the verbs of BASIS share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import typer

from commands.options.shared import Rate
from transplant.basis.config import AdaptConfig
from transplant.errors import InputError

Tokens = Annotated[str, typer.Option("--tokens", help="Tokens that are read, as 50000 or 200k.")]
LayerAtATime = Annotated[
    bool, typer.Option("--layer-at-a-time", help="One layer in memory, the others on the disk.")
]
UNITS = {"": 1, "k": 1000, "m": 1_000_000}


def parse_count(flag: str, text: str) -> int:
    """A number as it is typed: 200k is 200,000, 2M is 2,000,000.

    Raises:
        InputError: it is none above 0.
    """
    found = re.fullmatch(r"([\d_,]+(?:\.\d+)?)([km]?)", text.strip().lower())
    if found:
        number = round(float(re.sub("[_,]", "", found[1]) or 0) * UNITS[found[2]])
        if number > 0:
            return number
    raise InputError(flag, expected="a number as 50000, 200k or 2M", found=text)


@dataclass(frozen=True)
class AdaptOptions:
    """How the matrices C are trained; see `AdaptConfig`."""

    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps.")] = AdaptConfig.steps
    batch: Annotated[int, typer.Option(min=1, help="Windows per step.")] = AdaptConfig.batch
    window: Annotated[int, typer.Option(min=2, help="Tokens per window.")] = AdaptConfig.window
    tokens: Tokens = str(AdaptConfig.train_tokens)
    calibration_tokens: Annotated[
        int, typer.Option("--calibration-tokens", min=1, help="Tokens that the best step is of.")
    ] = AdaptConfig.calibration_tokens
    learning_rate: Rate = AdaptConfig.learning_rate
    evaluate_every: Annotated[
        int, typer.Option("--evaluate-every", min=1, help="Steps between looks.")
    ] = AdaptConfig.evaluate_every

    def config(self, seed: int) -> AdaptConfig:
        """The recipe, with the seed of the run."""
        return AdaptConfig(
            steps=self.steps, batch=self.batch, window=self.window,
            train_tokens=parse_count("--tokens", self.tokens),
            calibration_tokens=self.calibration_tokens, learning_rate=self.learning_rate,
            evaluate_every=self.evaluate_every, seed=seed,
        )  # fmt: skip
