"""Options that several verbs share, each written once."""

from __future__ import annotations

from typing import Annotated

import typer

from transplant.calibration.config import METHODS, MoveConfig
from transplant.errors import InputError
from transplant.surgery.inject.config import GATE_KINDS
from transplant.training.config import TrainConfig

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
EvalTokens = Annotated[
    int, typer.Option("--eval-tokens", min=64, help="Held-out tokens to evaluate on.")
]
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

TRAIN, MOVE = TrainConfig(), MoveConfig()
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
