"""Ways to train a `python` module that `bench_sources` compares, each one thing from the first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from transplant.training.config import TrainConfig

ANY = {"window_choice": "any"}
BASE = TrainConfig(steps=250, train_tokens=200_000)


@dataclass(frozen=True)
class Row:
    """One way to train."""

    text: str = "python"
    """What is trained on: `python`, `packages` or `both`."""
    stop: str | None = None
    """The `window_choice` of packages' calibration split, where that decides early stopping."""
    gain: str | None = None
    """The same, where that chooses a gain afterwards."""
    gate: bool = False
    """Whether a gate is fitted against prose afterwards."""
    changed: dict[str, Any] = field(default_factory=dict)
    """Of the recipe."""


ROWS = {
    "python": Row(),
    "50 steps": Row(changed={"steps": 50}),
    "100 steps": Row(changed={"steps": 100}),
    "500 steps": Row(changed={"steps": 500}),
    "800k tokens": Row(changed={"train_tokens": 800_000}),
    "d_abi 32": Row(changed={"d_abi": 32}),
    "d_abi 512": Row(changed={"d_abi": 512}),
    "weight decay 0.3": Row(changed={"weight_decay": 0.3}),
    "learning rate 5e-4": Row(changed={"learning_rate": 5e-4}),
    "stopped by packages": Row(stop="first", changed={"evaluate_every": 10}),
    "stopped by packages, any": Row(stop="any", changed={"evaluate_every": 25}),
    "gain by packages": Row(gain="first"),
    "gain by packages, any": Row(gain="any"),
    "gate against prose": Row(gate=True),
    "any windows": Row(changed=ANY),
    "any, 800k tokens": Row(changed={**ANY, "train_tokens": 800_000}),
    "packages": Row("packages"),
    "packages, any": Row("packages", changed=ANY),
    "both": Row("both"),
    "both, any": Row("both", changed=ANY),
    "both, any, 800k tokens": Row("both", changed={**ANY, "train_tokens": 800_000}),
    "both, any, d_abi 512": Row("both", changed={**ANY, "d_abi": 512}),
    "both, any, 800k tokens, d_abi 512": Row(
        "both", changed={**ANY, "train_tokens": 800_000, "d_abi": 512}
    ),
}
GOAL = "both, any"
