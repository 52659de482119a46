"""Report of a calibration, and the checks of its files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.calibration.objectives.choice import ObjectiveChoice
from transplant.errors import InputError
from transplant.workflows.also_eval import OtherSource, judge_sources, read_sources
from transplant.workflows.move.evidence import used_documents
from transplant.workflows.move.move import Move

if TYPE_CHECKING:
    from transplant.library import Manifest

EVAL_TOKENS = 40_000  # of each source


def check_files(
    choice: ObjectiveChoice, paired: tuple[Path, Path] | None, domain: Path | None
) -> None:
    """Refuses files that the objective would not read.

    Raises:
        InputError: it names the option.
    """
    if paired is None and domain is not None:
        raise InputError("`domain_activations`", expected="`activations` beside it")
    if paired is not None and choice.spec.reads_domain:
        raise InputError(
            f"the objective {choice.objective} reads domain text, not captured files",
            expected="closed-form or donor-kd with `activations`",
        )


def read_others(move: Move, also_eval: Mapping[str, str]) -> dict[str, OtherSource]:
    """Other sources of the domain, by name, read before the work."""
    if not also_eval:
        return {}
    move.donor  # noqa: B018  it reads chats, where the text is any
    return read_sources(move.work, also_eval, used_documents(move), EVAL_TOKENS)


def judge_calibrated(move: Move, others: Mapping[str, OtherSource]) -> dict[str, Any]:
    """What the calibrated module gains on the domain's held-out text and on other sources."""
    if not others:
        return {}
    systems = {"raw": None, "candidate": move.calibrated.correction}
    held_out = move.domain_text.eval
    return {
        "sources": judge_sources(move.work, move.target, systems, held_out, others, EVAL_TOKENS)
    }


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
        "seed": move.work.seed,
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
