"""The keys that all reports have in common, and how strict a report is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler

VERSION = Literal[2]
"""That of `transplant.files.results`."""


def _without_defaults(node: Any, handler: GetCoreSchemaHandler, seen: set[int]) -> None:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, Mapping):
        if node.get("type") == "definition-ref":
            _without_defaults(handler.resolve_ref_schema(node), handler, seen)  # pyright: ignore[reportArgumentType]
        if node.get("type") == "dataclass-field" and node["schema"]["type"] == "default":
            node["schema"] = node["schema"]["schema"]  # pyright: ignore[reportIndexIssue]
        for value in [*node.values()]:
            _without_defaults(value, handler, seen)
    elif isinstance(node, list | tuple):
        for value in node:
            _without_defaults(value, handler, seen)


class Part(BaseModel):
    """A part of a report: it has these keys, and no others.

    Dataclasses of the library may stand in it: all their fields are keys, as of `asdict`.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, protected_namespaces=(), use_attribute_docstrings=True
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """The model, in whose dataclasses defaults make no key optional."""
        schema = handler(source)
        _without_defaults(schema, handler, set())
        return schema


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
    """What is printed in place of a report where a verb has failed; exit code 1, or 2 for usage."""

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
