"""Show everything known about one artifact.

Example: abi show python-shipped-from-ref-gpt2@ref-llama
"""

from __future__ import annotations

import dataclasses

from commands.options.shared import Named, Verify
from commands.session import Session
from registry.listing import kind_named

COUNTS = "token_counts"  # one for each entry of a vocabulary


def show(
    session: Session,
    *,
    name: Named,
    kind: str | None = None,
    verify: Verify = False,
    full: bool = False,
) -> None:
    """Show everything known about one artifact, with the evidence that was stored with it.

    Args:
        kind: only this kind; default: the module, else what there is.
        full: with --json: the counts of the training tokens, too.
    """
    from transplant.tables.artifacts import artifact_sheet

    entry = session.find(name, kind_named(kind))
    if verify:
        session.registry.verify(entry)
    manifest = entry.manifest
    report = dataclasses.asdict(manifest)
    report["manifest_version"] = report.pop("schema_version")
    report |= {
        "hosted": manifest.hosted, "sha256": manifest.sha256, "path": str(entry.path),
        "verified": verify,
    }  # fmt: skip
    if not full:
        report["made"].pop(COUNTS, None)
    session.out.result(report, artifact_sheet(report))
