"""Options and their parsers that verbs of any kind share, each written once.

Those of one topic stand in the files beside this one.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from commands.options.groups import Field
from transplant.errors import InputError
from transplant.training.config import NAMED_TAPS

NameOption = Annotated[
    str | None,
    typer.Option("--name", help="Its name in the registry; default: made from the other names."),
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace what has that name.")]
Explain = Annotated[bool, typer.Option("--explain", help="Print what was tried, too.")]
EvalTokens = Annotated[
    int, typer.Option("--eval-tokens", min=64, help="Held-out tokens to evaluate on.")
]

EVAL_TOKENS = 40_000
ARGUMENT = Field(argument=True)
DOMAIN_DATA = Field(flags=("--domain-data", "--data"))

Text = Annotated[
    str, typer.Option("--data", help="Text: prose, python, a file, a folder, a data set.")
]
BackboneOption = Annotated[
    str, typer.Option("--backbone", help="The backbone: a registry name, folder or hub id.")
]
HostedOption = Annotated[str, typer.Option("--module", help="The module, as in python@ref-gpt2.")]
Named = Annotated[str, typer.Argument(help="A backbone, or what is hosted on one: NAME@BACKBONE.")]
Verify = Annotated[bool, typer.Option("--verify", help="Recompute every sha256.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")]
Window = Annotated[int, typer.Option("--window", min=2, help="Tokens per window.")]

DomainText = Annotated[
    str | None,
    typer.Option(
        "--domain-data", "--data", help="The domain's text; default: the corpus of its name."
    ),
]
HeldOutText = Annotated[
    str | None,
    typer.Option(
        "--eval-data", "--data", help="Held-out text; default: the module's domain, else prose."
    ),
]
NativeBeside = Annotated[
    str | None,
    typer.Option(
        "--native", help="The native beside a moved module; default: its domain's; none for none."
    ),
]
AlsoEval = Annotated[
    list[str] | None,
    typer.Option(
        "--also-eval",
        metavar="NAME=PATH",
        help="Another source of the domain to evaluate on, too; nothing of it is trained on. "
        "Repeatable.",
    ),
]


def named_paths(flag: str, *more: str, of: str = "") -> Field:
    """An option that is given as NAME=PATH, again and again.

    Args:
        flag: its flag.
        more: further flags of it.
        of: the field; none where it has the option's name.
    """
    parse = partial(parse_named, flag)
    return Field(of=of, flags=(flag, *more), metavar="NAME=PATH", parse=parse, several=True)


def parse_sources(given: list[str] | None) -> dict[str, str]:
    """Turns `--also-eval` into corpora by name."""
    return parse_named("--also-eval", given)


def parse_named(flag: str, given: list[str] | None) -> dict[str, str]:
    """Turns an option that is given as NAME=PATH into paths by name."""
    sources: dict[str, str] = {}
    for text in given or ():
        name, _, source = text.partition("=")
        if not name or not source or name in sources:
            raise InputError(flag, expected="NAME=PATH once for each name", found=text)
        sources[name] = source
    return sources


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


def parse_names(text: str) -> tuple[str, ...]:
    """Turns names between commas into a tuple of them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


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
