"""A capture as it is asked for, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from transplant.dtypes import AUTO
from transplant.errors import InputError
from transplant.training.config import NAMED_TAPS
from transplant.validation import one_of, refuse_idle

SHORT = ("fp32", "fp16", "bf16")
"""How states are stored; as `dtype` of a capture they are short for it."""


@dataclass(frozen=True, kw_only=True)
class CaptureJob:
    """What to capture, of what, and where to."""

    backbone: str
    """A name of the library, a folder or a hub id."""
    data: str
    """Text: prose, python, a file, a folder, a data set."""
    out: Path
    """The file to write."""
    taps: str = "last"
    """`all`, last, or a list as 0,3,block.2.attn,block.2.mlp.in."""
    stored: str = "fp32"
    """As the file stores states: `fp32`, `fp16` or `bf16`."""
    window: int = 512
    """Tokens per window."""
    max_tokens: int | None = None
    """Tokens after which it stops; None for all of the text."""
    pool: str = "none"
    """`none`: a row for each token; mean or last: one for each window."""

    def __post_init__(self) -> None:
        """Refuses what no file stores, and names that are of no tap.

        Raises:
            InputError: it names the parameter.
        """
        from transplant.activations.layout import POOLS, STORED
        from transplant.backbones.parts import PART

        one_of(self, "stored", STORED)
        one_of(self, "pool", POOLS)
        for name in () if self.taps in NAMED_TAPS else names_in(self.taps):
            if not is_layer(name) and not PART.fullmatch(name):
                raise InputError(
                    "`taps`", expected="all, last, or a list as 0,2,block.2.attn", found=name
                )


def arithmetic_of(dtype: str, stored: str | None) -> tuple[str, str]:
    """The arithmetic of the backbone, and how states are stored.

    Args:
        dtype: of the arithmetic; one of `SHORT` tells how states are stored alone.
        stored: how states are stored; None where nothing was asked for.

    Raises:
        InputError: both tell the second, and differ.
    """
    if dtype not in SHORT:
        return dtype, stored or CaptureJob.stored
    if stored not in (None, dtype):
        raise InputError(
            f"`dtype={dtype!r}` is short for `stored={dtype!r}`", expected="one of them",
            found=f"`stored={stored!r}` beside it",
            hint="`dtype='float16'` or the like, for the arithmetic",
        )  # fmt: skip
    return AUTO, dtype


def check_alone(way: str, **asked: object) -> None:
    """Refuses what is of a capture beside a file that is there already, which says it itself.

    Args:
        way: the parameter that names the file: `inspect` or `verify`.
        asked: what else may have been asked for, by parameter.

    Raises:
        InputError: it names the parameters.
    """
    unasked = {field.name: field.default for field in fields(CaptureJob)}
    given = {name: value not in (None, unasked.get(name, False)) for name, value in asked.items()}
    refuse_idle(f"`{way}`", f"`{way}` alone: the file says how it was captured", **given)


def names_in(taps: str) -> list[str]:
    """The taps of a list, as they are named."""
    return [name.strip() for name in taps.split(",")]


def is_layer(name: str) -> bool:
    """Whether a tap is named by its number."""
    return name.lstrip("-").isdecimal()
