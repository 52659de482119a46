"""Reports of the verbs that look at a registry, or change it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from transplant.files.safetensors import TensorRecord
from transplant.schemas.base import Object, Part, Report, Sha256
from transplant.schemas.told import Whole


class BackboneFacts(Part):
    """The backbone that an artifact belongs to."""

    id: str
    revision: str | None
    family: str
    d_model: int
    weights_sha256: str
    tokenizer_sha256: str
    config_sha256: str | None


class Row(Part):
    """An artifact in a list, with the interface and the gate of its name."""

    name: str
    hosted: str
    kind: str
    with_it: list[str] = Field(alias="with")
    backbone: str
    d_abi: int | None
    domain: str | None
    recovered: float | None
    date: str | None
    bytes: int
    path: str
    shipped: bool
    also_on: list[str]


class ListReport(Report):
    """`list`."""

    registry: str
    artifacts: list[Row]


class ShowReport(Report):
    """`show`: what the manifest says, of any version that can be read."""

    manifest_version: int
    name: str
    kind: str
    domain: str | None
    backbone: BackboneFacts
    d_abi: int | None
    taps: list[int]
    tensors: dict[str, Whole[TensorRecord]]
    made: Object
    """How it was made; see `Made`, of the verb and version that made it."""
    results: Object
    """What that verb measured, under the keys of the present version."""
    parents: dict[str, str]
    license: str | None
    hosted: str
    sha256: Sha256
    path: str
    verified: bool


class Needed(Part):
    """What a recipe needs and no step of it makes."""

    name: str
    sha256: str


class OriginReport(Report):
    """`show --recipe`."""

    name: str
    kind: str
    sha256: Sha256
    content: Object
    needed: list[Needed]
    yaml: str


class RemoveReport(Report):
    """`rm`."""

    removed: list[str]
    bytes: int


class Piece(Part):
    """A piece of a bank."""

    piece: str
    parameters: int
    tensors: dict[str, list[int]]
    """Their shapes."""
    sha256: Sha256
    recipe: Object
    """How it computes."""


class InspectReport(Report):
    """`inspect`."""

    name: str
    backbone: BackboneFacts
    sha256: Sha256
    parameters: int
    pieces: list[Piece]
    made: Object
    path: str
    verified: bool


class Added(Part):
    """Where a backbone came from."""

    from_: str = Field(alias="from")
    path: str
    by: Literal["copy", "reference", "gguf"]
    hub: str | None = None
    revision: str | None = None
    sha256: Sha256 | None = None
    """Of a GGUF file, as what follows."""
    architecture: str | None = None
    dtype: str | None = None


class AddReport(Report):
    """`add`."""

    name: str
    family: str
    parameters: int
    d_model: int
    layers: int
    vocabulary: int
    context: int
    weights_sha256: Sha256
    tokenizer_sha256: Sha256
    config_sha256: str | None
    added: Added
    folder: str
    bytes: int
    known: list[str]
    notes: list[str]
    path: str
    seconds: float


class Pushed(Part):
    """Where an export was sent to."""

    repository: str
    url: str
    commit: str


class ExportReport(Report):
    """`export`.

    `class`, `code` and `with_backbone` are of the form `transformers`; `compared_in`, `pairs`,
    `ranks` and `merges` of the form `lora`; `loader` of both; `pushed` is there where it was sent.
    """

    name: str
    form: str
    out: str
    backbone: str
    logits: float
    class_: str | None = Field(None, alias="class")
    loader: str | None = None
    """The class of `transformers` that loads it, of PEFT's the base."""
    code: bool | None = None
    with_backbone: bool | None = None
    compared_in: str | None = None
    """The arithmetic in which logits were compared."""
    pairs: int | None = None
    """Linear maps that a pair changes."""
    ranks: list[int] | None = None
    """Of the pairs, each once."""
    merges: bool | None = None
    """Whether PEFT can write it into the weights."""
    pushed: Pushed | None = None
    files: list[str]
    bytes: int
    licenses: dict[str, str | None]
    seconds: float


Show = ShowReport | OriginReport
