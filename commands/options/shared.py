"""Options that verbs of any kind share, each written once.

Those of one topic stand in the files beside this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from transplant.options import Field
from transplant.validation import Held
from transplant.values import named_paths

EVAL_TOKENS = 40_000
Paths = Mapping[str, str]
ARGUMENT = Field(argument=True)
DOMAIN_DATA = Field(spelled="--domain-data --data")

NAME = Field(help="Its name in the registry; default: made from the other names.")
NameOption = Annotated[str | None, NAME]
Replace = Annotated[bool, Field(help="Replace what has that name.")]
Explain = Annotated[bool, Field(help="Print what was tried, too.")]
EvalTokens = Annotated[Held, Field(help="Held-out tokens to evaluate on.")]
Text = Annotated[str, Field(help="Text: prose, python, a file, a folder, a data set.")]
HostedOption = Annotated[str, Field(help="The module, as in python@ref-gpt2.")]
NAMED = Field(argument=True, help="A backbone, or what is hosted on one: NAME@BACKBONE.")
Named = Annotated[str, NAMED]
Verify = Annotated[bool, Field(help="Recompute every sha256.")]
Resume = Annotated[bool, Field(help="Continue an interrupted run.")]
Window = Annotated[int, Field(low=2, help="Tokens per window.")]
DOMAIN_TEXT = replace(
    DOMAIN_DATA, help="The domain's text, or A,B; default: the corpus of its name."
)
DomainText = Annotated[str | None, DOMAIN_TEXT]
HELD_OUT = Field(
    spelled="--eval-data --data", help="Held-out text; default: the module's domain, else prose."
)
HeldOutText = Annotated[str | None, HELD_OUT]
BESIDE = Field(help="The native beside a moved module; default: its domain's; none for none.")
NativeBeside = Annotated[str | None, BESIDE]


ALSO_EVAL = named_paths(
    "also_eval",
    said="Another source of the domain to evaluate on, too; nothing of it is trained on. "
    "Repeatable.",
)
AlsoEval = Annotated[Paths | None, ALSO_EVAL]
