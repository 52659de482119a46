"""Options and their parsers that verbs of any kind share, each written once.

Those of one topic stand in the files beside this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated

from commands.options.groups import Field
from transplant.errors import InputError

EVAL_TOKENS = 40_000
Paths = Mapping[str, str]
ARGUMENT = Field(argument=True)
DOMAIN_DATA = Field(flags="--domain-data --data")

NAME = Field(help="Its name in the registry; default: made from the other names.")
NameOption = Annotated[str | None, NAME]
Replace = Annotated[bool, Field(help="Replace what has that name.")]
Explain = Annotated[bool, Field(help="Print what was tried, too.")]
EvalTokens = Annotated[int, Field(low=64, help="Held-out tokens to evaluate on.")]
Text = Annotated[str, Field(help="Text: prose, python, a file, a folder, a data set.")]
HostedOption = Annotated[str, Field(help="The module, as in python@ref-gpt2.")]
NAMED = Field(argument=True, help="A backbone, or what is hosted on one: NAME@BACKBONE.")
Named = Annotated[str, NAMED]
Verify = Annotated[bool, Field(help="Recompute every sha256.")]
Resume = Annotated[bool, Field(help="Continue an interrupted run.")]
Window = Annotated[int, Field(low=2, help="Tokens per window.")]
DOMAIN_TEXT = replace(DOMAIN_DATA, help="The domain's text; default: the corpus of its name.")
DomainText = Annotated[str | None, DOMAIN_TEXT]
HELD_OUT = Field(
    flags="--eval-data --data", help="Held-out text; default: the module's domain, else prose."
)
HeldOutText = Annotated[str | None, HELD_OUT]
BESIDE = Field(help="The native beside a moved module; default: its domain's; none for none.")
NativeBeside = Annotated[str | None, BESIDE]


def parse_named(flag: str, given: list[str] | None) -> dict[str, str]:
    """Turns an option that is given as NAME=PATH into paths by name."""
    sources: dict[str, str] = {}
    for text in given or ():
        name, _, source = text.partition("=")
        if not name or not source or name in sources:
            raise InputError(flag, expected="NAME=PATH once for each name", found=text)
        sources[name] = source
    return sources


def parse_names(text: str) -> tuple[str, ...]:
    """Turns names between commas into a tuple of them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def named_paths(flag: str, *more: str, of: str = "") -> Field:
    """An option that is given as NAME=PATH, again and again.

    Args:
        flag: its flag.
        more: further flags of it.
        of: the field; none where it has the option's name.
    """
    parse = partial(parse_named, flag)
    return Field(
        of=of, flags=" ".join((flag, *more)), metavar="NAME=PATH", parse=parse, several=True
    )


ALSO_EVAL = replace(
    named_paths("--also-eval"),
    help="Another source of the domain to evaluate on, too; nothing of it is trained on. "
    "Repeatable.",
)
AlsoEval = Annotated[Paths | None, ALSO_EVAL]
