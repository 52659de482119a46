"""Calibration of a move by an objective, from text or from captured files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.calibration.objectives.choice import ObjectiveChoice
from transplant.errors import InputError
from transplant.validation import changed, refuse_idle
from transplant.workflows.also_eval import OtherSource
from transplant.workflows.move.from_activations import reading_files
from transplant.workflows.move.move import Move
from transplant.workflows.move.other_sources import evaluate_others, read_others
from transplant.workflows.move.whole import WholeMove

if TYPE_CHECKING:
    from transplant.library import Manifest

PROSE = "prose"
"""What a move pairs on, where nothing else is asked for."""


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
            expected="closed-form, donor-kd or donor-changes with `activations`",
        )


def run_calibration(
    move: WholeMove, choice: ObjectiveChoice, *, paired: tuple[Path, Path] | None = None,
    domain: Path | None = None, also_eval: Mapping[str, str] | None = None, replace: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Calibrates a move by an objective, stores what it gives, and reports it.

    Args:
        move: the move.
        choice: the objective.
        paired: captured rows of the donor and of the target to pair, in place of text.
        domain: captured rows of the target on the domain's text.
        also_eval: other sources of the domain, by name, to judge on.
        replace: whether what has that name may go.

    Raises:
        InputError: files that the objective would not read, or text to compare beside files.
        ExistsError: the name is taken.
    """
    choice.check()
    check_files(choice, paired, domain)
    if paired and also_eval:
        raise InputError("files hold no text to compare", expected="`also_eval` with `data`")
    if paired and move.general:
        raise InputError("files hold no rows of `general`", expected="`general` with `data`")
    if paired:
        refuse_idle(
            "`activations`", "the text of the files, as far as they hold it",
            data=None if move.data == PROSE else move.data,
            **changed(move.config, "excerpts", "excerpt_chars"),
        )  # fmt: skip
    move.claim("module", "interface", replace=replace)
    source = reading_files(move, paired, domain) if paired else nullcontext(move)
    with source as fitted:
        others = read_others(fitted, also_eval)
        started = fitted.start(choice)
        move = started.by(choice)
        stored = move.store(replace=replace)
    report = calibrated_report(move, choice, stored, started is not fitted)
    return report | judge_calibrated(move, others)


def judge_calibrated(move: Move, others: Mapping[str, OtherSource]) -> dict[str, Any]:
    """What the calibrated module gains on the domain's held-out text and on other sources."""
    systems = {"raw": None, "candidate": move.calibrated.correction}
    return evaluate_others(move, others, systems)


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
        found |= {**move.text_facts, **move.general_facts}
    if move.objective:
        found["learned"] = move.objective
    return {**found, "seconds": move.seconds}
