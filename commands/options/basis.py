"""Options that the verbs of BASIS share."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from transplant.errors import InputError

Tokens = Annotated[str, typer.Option("--tokens", help="Tokens that are read, as 50000 or 200k.")]
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
