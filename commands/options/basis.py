"""Options that the verbs of BASIS share."""

from __future__ import annotations

import re
from functools import partial

from commands.options.groups import Field, Fields
from transplant.errors import InputError

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


def tokens_of(field: str = "tokens") -> Field:
    """The option `--tokens` of a field that counts them."""
    return Field(
        of=field,
        parse=partial(parse_count, "--tokens"),
        help="Tokens that are read, as 50000 or 200k.",
    )  # fmt: skip


BUDGET = Field(parse=partial(parse_count, "--budget"), help="Trainable parameters, as 100k.")
ADAPTED = Fields(
    "steps batch window calibration_tokens learning_rate evaluate_every seed",
    tokens=tokens_of("train_tokens"),
)
"""How the matrices C are trained."""
