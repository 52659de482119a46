"""The keys that all reports have in common, and how strict a report is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

VERSION = Literal[2]
"""That of `transplant.files.results`."""


class Part(BaseModel):
    """A part of a report: it has these keys, and no others; see `told` for dataclasses in it."""

    model_config = ConfigDict(
        extra="forbid", strict=True, protected_namespaces=(), use_attribute_docstrings=True
    )


class Report(Part):
    """The object that a verb prints with `--json`."""

    schema_version: VERSION
    """Of results; see `transplant.files.results`."""
    plot: str | None = None
    """The picture that `--plot` has drawn."""


class Made(Part):
    """How and when a result was made; verbs add facts of their own."""

    model_config = ConfigDict(
        extra="allow", strict=True, protected_namespaces=(), use_attribute_docstrings=True
    )

    verb: str
    options: dict[str, Any]
    """By parameter."""
    seed: int
    date: str
    """In UTC, ISO 8601."""
    versions: dict[str, str | None]
    dtype: str | dict[str, str] | None = None
    """The arithmetic of the backbones."""


class ErrorReport(Part):
    """What is printed in place of a report where a verb has failed.

    Exit code 1, or 2 for usage, 130 for Ctrl-C and 143 for SIGTERM.
    """

    schema_version: VERSION
    error: str
    """The class, as `NotFoundError`."""
    what: str
    expected: str | None
    found: str | None
    hint: str | None
    """The next thing to try."""


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Interval = tuple[float, float]
"""Of 95 %, low and high."""
Object = dict[str, Any]
"""A part whose keys are not promised."""
Finite = float | None
"""A number; null where it was too large for one, as the perplexity of noise may be."""
Bounds = tuple[Finite, Finite]
"""Low and high of 95 % of a share; null on a side where it has no bound, as near the edge of a
ceiling: too many resamples of the native's gain are nothing."""
