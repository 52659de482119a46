"""Files of gates: what a validation tolerates, in YAML.

    forgetting.prose: {max: 0.02}            # nats per token
    accuracy.python-scope: {min: 0.5, by: interval}

`by: interval` asks the whole 95 % interval to be within the bound, which none is that was not
measured, as of a single document; without it the value counts.
Every fault is named by its line.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transplant.errors import InputError
from transplant.evidence.validate.plan import WITHOUT_INTERVAL
from transplant.workflows.yaml_file import entries, read_nodes, shown

BOUNDS = ("max", "min")
BY = ("value", "interval")
FORM = "{max: NUMBER}, {min: NUMBER} or both"


@dataclass(frozen=True)
class Number:
    """One measurement; None where it could not be made, and `why` says why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        known = self.low is not None and self.high is not None
        return {
            "value": self.value, "interval": [self.low, self.high] if known else None,
            **({} if self.why is None else {"why": self.why}),
        }  # fmt: skip


@dataclass(frozen=True)
class Gate:
    """What is tolerated of one metric."""

    metric: str
    line: int
    most: float | None
    least: float | None
    by: str

    @property
    def asked(self) -> str:
        """The bounds in words."""
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (("at least", self.least), ("at most", self.most))
            if bound is not None
        ]
        return " and ".join(bounds) + (", all of the interval" if self.by == "interval" else "")

    def passes(self, number: Number) -> bool:
        """Whether a measurement is within the bounds; one that was not made is not."""
        whole = self.by == "interval"
        high, low = (number.high, number.low) if whole else (number.value, number.value)
        return (self.most is None or (high is not None and high <= self.most)) and (
            self.least is None or (low is not None and low >= self.least)
        )


@dataclass(frozen=True)
class Judgement:
    """A gate and what was measured."""

    gate: Gate
    number: Number

    @property
    def passed(self) -> bool:
        """Whether it is open."""
        return self.gate.passes(self.number)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "metric": self.gate.metric,
            "line": self.gate.line,
            "asked": self.gate.asked,
            **self.number.as_dict(),
            "pass": self.passed,
        }


def judge(gates: Sequence[Gate], numbers: Mapping[str, Number]) -> list[Judgement]:
    """Holds every gate against what was measured."""
    return [Judgement(gate, numbers[gate.metric]) for gate in gates]


def read_gates(path: Path | str, metrics: Sequence[str]) -> tuple[Gate, ...]:
    """Reads a file of gates.

    Args:
        path: the file.
        metrics: the names of what will be measured.

    Raises:
        InputError: no such file, no YAML, an unknown metric or key, a bound that is no number; with
            the line.
    """
    root = read_nodes(path, "the gates")
    if root is None:
        raise InputError(f"the gates {path}", expected=f"METRIC: {FORM}", found="nothing")
    gates = [
        _gate(metric, line, node, path, metrics)
        for metric, line, node in entries(root, path, "a metric")
    ]
    return tuple(gates)


def _gate(metric: str, line: int, node: Any, path: Path | str, metrics: Sequence[str]) -> Gate:
    where = f"{path}:{line}"
    if metric not in metrics:
        close = difflib.get_close_matches(metric, metrics, n=3)
        raise InputError(
            f"{where}: no such metric {metric!r}",
            expected=f"such as {', '.join(close or metrics[:3])}",
        )
    bounds: dict[str, float] = {}
    by = BY[0]
    for key, at, value in entries(node, path, FORM):
        if key == "by":
            by = str(getattr(value, "value", ""))
            if by not in BY:
                raise InputError(f"{path}:{at}: by", expected=" or ".join(BY), found=by)
        elif key in BOUNDS:
            bounds[key] = _number(value, f"{path}:{at}: {key}")
        else:
            raise InputError(
                f"{path}:{at}: {key!r}", expected=f"one of {', '.join((*BOUNDS, 'by'))}"
            )
    if not bounds or bounds.get("min", -math.inf) > bounds.get("max", math.inf):
        found = "no bound" if not bounds else "min above max"
        raise InputError(f"{where}: {metric}", expected=FORM, found=found)
    if by == "interval" and metric.startswith(WITHOUT_INTERVAL):
        raise InputError(f"{where}: {metric} has no interval", expected="by: value")
    return Gate(metric, line, bounds.get("max"), bounds.get("min"), by)


def _number(node: Any, where: str) -> float:
    import yaml

    plain = isinstance(node, yaml.ScalarNode) and node.tag in (
        "tag:yaml.org,2002:float", "tag:yaml.org,2002:int"
    )  # fmt: skip
    try:
        value = float(node.value) if plain else math.nan
    except ValueError:  # such as 0x1f, or 1:30, which YAML takes for numbers
        value = math.nan
    if not math.isfinite(value):
        raise InputError(where, expected="a number", found=shown(node))
    return value
