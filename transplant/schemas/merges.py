"""The report of `merge`."""

from __future__ import annotations

from pydantic import Field

from transplant.schemas.base import Bounds, Finite, Interval, Made, Part, Report, Sha256


class Parent(Part):
    """A backbone that was merged."""

    name: str
    weights_sha256: Sha256


class Value(Part):
    """A number with its interval; null where it was not measured."""

    value: float | None
    interval: Interval | None
    why: str | None = None


class AgainstParent(Part):
    """A merged backbone against one of its parents, by the metrics of `validate`."""

    perplexity: Value
    gain: Value
    ece: Value
    drift_js: Value = Field(alias="drift.js")
    drift_psi: Value = Field(alias="drift.psi")
    nib_top5: Value = Field(alias="nib.top5")
    nib_top1: Value = Field(alias="nib.top1")
    nib_js: Value = Field(alias="nib.js")
    nib_entropy: Value = Field(alias="nib.entropy")
    forgetting: Value | None = None
    parent_perplexity: Finite
    nib: str | None
    """The worst of four verdicts; null where the text was too short."""


class MergedText(Part):
    """A merged backbone on one text."""

    parents: dict[str, AgainstParent]
    source: str
    split: str
    tokens: int
    documents: int
    perplexity: Value


class Kept(Part):
    """The merged backbone's share of what a module gains on its parent."""

    value: float
    interval: Bounds


class MergedHosted(Part):
    """What is hosted on a parent, there and on the merged backbone."""

    name: str
    kind: str
    domain: str
    tokens: int | None = None
    documents: int | None = None
    ppl: dict[str, Finite] | None = None
    parent_gain: Value | None = None
    merged_gain: Value | None = None
    kept: Kept | None
    why: str | None = None


class MergeReport(Report):
    """`merge --global`."""

    name: str
    method: str
    recipe: str
    recipe_sha256: Sha256
    parents: list[Parent]
    family: str
    parameters: int
    layers: int
    weights_sha256: Sha256
    tokenizer_sha256: Sha256
    texts: dict[str, MergedText]
    hosted: list[MergedHosted]
    path: str
    seconds: float
    made: Made
