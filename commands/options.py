"""Options that several verbs share, each written once."""

from __future__ import annotations

from typing import Annotated

import typer

from transplant.calibration.config import METHODS, MoveConfig, RepairConfig
from transplant.calibration.objectives.config import TRAINED
from transplant.calibration.objectives.spec import SPECS
from transplant.errors import InputError
from transplant.surgery.inject.config import GATE_KINDS
from transplant.training.config import TrainConfig, UpdateConfig
from transplant.training.schedule import SCHEDULES

ModuleOption = Annotated[
    str, typer.Option("--module", help="The module to move, as in python@ref-gpt2.")
]
TargetOption = Annotated[str, typer.Option("--to", help="The backbone it moves to.")]
PairingData = Annotated[
    str,
    typer.Option("--data", help="Text to pair on: prose, python, a file, a folder, a data set."),
]
DomainData = Annotated[
    str | None,
    typer.Option(
        "--domain-data", help="The module's domain text; default: what it was trained on."
    ),
]
Excerpts = Annotated[int, typer.Option("--excerpts", min=1, help="Excerpts of text to pair on.")]
TargetTaps = Annotated[
    str, typer.Option("--taps", help="Layers of the target to read: all, last or a list as 0,2,3.")
]
Method = Annotated[str, typer.Option("--method", help=f"Input map: {' or '.join(METHODS)}.")]
NameOption = Annotated[
    str | None,
    typer.Option("--name", help="Its name in the registry; default: made from the move."),
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace what has that name.")]
Explain = Annotated[bool, typer.Option("--explain", help="Print what was tried, too.")]
EvalTokens = Annotated[
    int, typer.Option("--eval-tokens", min=64, help="Held-out tokens to evaluate on.")
]
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
PartOption = Annotated[
    str,
    typer.Option("--from", help="A bank and a piece of it: llama:ffn.3, llama:heads.1."),
]
LayerOption = Annotated[int, typer.Option("--layer", min=0, help="The block of the target.")]
GateOption = Annotated[str, typer.Option("--gate", help=f"{', '.join(GATE_KINDS)}.")]
AlignOption = Annotated[
    str | None,
    typer.Option("--align", help="A map of `abi bridge-align --between` to take as the way in."),
]
BridgeStart = Annotated[
    str, typer.Option("--start", help="Bridges: auto (identity where widths agree), identity, fit.")
]

TRAIN, MOVE, UPDATE, REPAIR = TrainConfig(), MoveConfig(), UpdateConfig(), RepairConfig()
EVAL_TOKENS = 40_000
NAMED_TAPS: dict[str, tuple[int, ...]] = {"all": (), "last": (-1,)}


def parse_taps(text: str) -> tuple[int, ...]:
    """Turns `--taps` into layers, as the library's configurations write them."""
    if text in NAMED_TAPS:
        return NAMED_TAPS[text]
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError("--taps", expected="all, last, or a list as 0,2,3", found=text) from error


def parse_budgets(text: str) -> tuple[int, ...]:
    """Turns `--curve` into numbers of tokens, ascending: 0,4k,32k is 0, 4,000 and 32,000."""
    try:
        budgets = {
            int(float(part[:-1]) * 1000) if part.lower().endswith("k") else int(part)
            for part in text.replace(" ", "").split(",")
        }
    except ValueError as error:
        raise InputError("--curve", expected="a list as 0,4k,32k", found=text) from error
    if min(budgets) < 0 or max(budgets) == 0:
        raise InputError("--curve", expected="budgets from 0 up, one of them above", found=text)
    return tuple(sorted(budgets))


def parse_layers(text: str) -> tuple[int, ...] | None:
    """Turns `--layers` into numbers of blocks; None for `all`."""
    if text == "all":
        return None
    layers: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            layers.extend(range(int(first), int(last if dash else first) + 1))
    except ValueError as error:
        raise InputError("--layers", expected="all, or a list as 0,2-4", found=text) from error
    return tuple(layers)
