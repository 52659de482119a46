"""What `abi calibrate` says of what it has done."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.moving import Move
from commands.options.objective import ObjectiveChoice
from commands.output import table
from transplant.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from registry.manifest import Manifest


def check_files(
    choice: ObjectiveChoice, paired: tuple[Path, Path] | None, domain: Path | None
) -> None:
    """Refuses files that the objective would not read.

    Raises:
        InputError: it names the option.
    """
    if paired is None and domain is not None:
        raise InputError("--domain-activations", expected="--from-activations beside it")
    if paired is not None and choice.spec.reads_domain:
        raise InputError(
            f"the objective {choice.objective} reads domain text, not captured files",
            expected="closed-form or donor-kd with --from-activations",
        )


def calibrated_report(
    move: Move, choice: ObjectiveChoice, stored: Manifest, reused: bool
) -> dict[str, Any]:
    """The JSON of a calibration."""
    found: dict[str, Any] = {
        "name": f"{move.moved_name}@{move.to}",
        "donor": move.module,
        "target": move.to,
        "objective": choice.objective,
        "needs": list(choice.spec.needs),
        "gain": move.calibrated.gain,
        "module_sha256": {"donor": move.manifest.sha256, "target": stored.sha256},
        "seed": move.session.seed,
        "split": move.domain_split,
    }
    if move.paired:
        shared = move.output_map.shared
        found["bridge"] = "from the registry" if reused else "fitted now"
        found["tried"] = [dataclasses.asdict(way) for way in move.choice.tried]
        found |= {"shared_tokens": len(shared.ids_a), "token_coverage": shared.coverage}
    if move.objective:
        found["learned"] = move.objective
    return {**found, "seconds": move.seconds}


def calibrated_table(report: dict[str, Any]) -> Table:
    """The report as a table."""
    shown = table(f"calibrated {report['name']}", "", "")
    shown.add_row("objective", report["objective"])
    shown.add_row("from", ", ".join(report["needs"]))
    for key in ("bridge", "gain", "shared_tokens", "token_coverage"):
        if key in report:
            value = report[key]
            text = value if isinstance(value, str) else f"{value:.3g}"
            shown.add_row(key.replace("_", " "), text)
    if learned := report.get("learned"):
        shown.add_row("steps", f"{learned['steps_taken']}, the best at {learned['best_step']}")
    shown.add_row("seconds", f"{sum(report['seconds'].values()):.1f}")
    anchor = (report.get("learned") or {}).get("anchor") or f"NATIVE@{report['target']}"
    shown.add_row("next", f"abi nib --anchor {anchor} --candidate {report['name']}")
    return shown
