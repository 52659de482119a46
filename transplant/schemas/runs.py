"""Reports of recipes, one object with the report of every step, and of schemas."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from transplant.schemas.base import Object, Part, Report, Sha256


class MadeArtifact(Part):
    """An artifact that a step made."""

    kind: str
    name: str
    backbone: str | None
    d_abi: int
    sha256: Sha256


class StepReport(Part):
    """One step; `report` is that of its verb, without `schema_version`."""

    name: str
    verb: str
    line: int
    state: Literal["kept", "ran", "would run", "not run"]
    passed: bool | None = Field(alias="pass")
    may_fail: bool
    seconds: float | None
    made: list[MadeArtifact]
    files: dict[str, Sha256]
    report: Any


class RunReport(Report):
    """`run`."""

    recipe: str
    registry: str
    dry_run: bool
    settings: Object
    steps: list[StepReport]
    passed: bool = Field(alias="pass")
    seconds: float


class SchemaReport(Report):
    """`schema VERB`."""

    verb: str
    schema_: Object = Field(alias="schema")


class SchemasReport(Report):
    """`schema`."""

    schemas: list[str]
    """Of these verbs, and of `error`."""


Schema = SchemaReport | SchemasReport
