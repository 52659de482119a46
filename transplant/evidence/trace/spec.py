"""The question that a trace answers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from transplant.tracing.config import PrefilterConfig, TraceConfig


@dataclass(frozen=True, kw_only=True)
class TraceJob:
    """What is traced, on what, and how."""

    model: str
    """A backbone, or what is hosted on one."""
    targets: str = "auto"
    """`auto`, for every head and feed-forward part, or a list: head:3.2, head:3.*, ffn:4, attn:4,
    layer:5.resid."""
    data: str | None = None
    """Text; by default the domain of the hosted module, else `prose`. Not with `pairs`."""
    pairs: str | None = None
    """A file of clean and corrupted texts, lines of JSON, to patch between, both ways; not with
    `intervention`: each has the other's values."""
    config: TraceConfig = dataclasses.field(default_factory=TraceConfig)
    """How it is measured."""
    prefilter: PrefilterConfig | None = None
    """Whether gradients choose what is measured exactly; None for all targets."""
    out: Path | None = None
    """A folder for the JSON and the heat map, PNG and HTML."""
