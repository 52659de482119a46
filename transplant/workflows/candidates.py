"""Candidates of advice: the modules of a donor, and what is recorded of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transplant.errors import CorruptError, foreign
from transplant.library import HostedName, Manifest
from transplant.workflows.cores.modules_inside import find_core_module, module_records
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.advice.measured import Candidate


def candidates_of(work: Work, source: str, to: str, domain: str | None) -> tuple[Candidate, ...]:
    """The modules that were trained on a backbone, and what is recorded of them."""
    registry = work.library
    inside = [
        find_core_module(registry, HostedName(name, source))
        for name in module_records(registry, source)
    ]
    stored = [entry.manifest for entry in registry.entries("module", source)]
    # What was moved there is another backbone's.
    own = [m for m in [*inside, *stored] if m is not None and "module" not in m.parents]
    every = [entry.manifest for entry in registry.entries("module")]
    return tuple(
        _candidate(manifest, source, to, every)
        for manifest in own
        if domain is None or domain in (manifest.domain, manifest.name)
    )


def _candidate(manifest: Manifest, source: str, to: str, every: list[Manifest]) -> Candidate:
    from transplant.advice.measured import Candidate

    copies = [m for m in every if m.parents.get("module") == manifest.sha256]
    recorded = [_recovered(copy.results) for copy in copies]
    there = next((copy for copy in copies if copy.backbone.id == to), None)
    return Candidate(
        name=f"{manifest.name}@{source}",
        domain=manifest.domain,
        recovered=max((value for value in recorded if value is not None), default=None),
        gained=_gained(manifest.results),
        moved=None if there is None else f"{there.name}@{to}",
        recovered_there=None if there is None else _recovered(there.results),
    )


def _recovered(results: Mapping[str, Any]) -> float | None:
    value = (results.get("recovered") or {}).get("candidate")
    return None if value is None else float(value)


def _gained(results: Mapping[str, Any]) -> float | None:
    ppl = results.get("ppl") or {}
    with foreign(f"the recorded perplexities {ppl}", CorruptError, expected="numbers above 0"):
        raw, native = (ppl.get(name) for name in ("raw", "native"))  # null: too large for a number
        return None if raw is None or native is None else math.log(raw / native)
