"""The evidence of a move of a fine-tune: ceiling, donor-free controls, held-out documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transplant.calibration.students.spec import MODULE
from transplant.validation import check_held
from transplant.workflows.corpus import windows_of
from transplant.workflows.move.ceiling import ceiling_of
from transplant.workflows.move.native import check_native
from transplant.workflows.move.other_sources import evaluate_others, read_others
from transplant.workflows.tuned.native import ceiling

if TYPE_CHECKING:
    from transplant.calibration.students.learned import Learned
    from transplant.calibration.students.lesson import Lesson
    from transplant.calibration.tuning import Choice
    from transplant.evaluation.likelihood import System
    from transplant.modules.linear import LinearCorrection
    from transplant.progress import Progress
    from transplant.workflows.tuned.move import TunedMove


def tuned_report(
    move: TunedMove, native: str | None, eval_tokens: int, also_eval: Mapping[str, str] | None,
    *, beside: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Everything that a transfer's JSON holds of a tuned donor.

    Args:
        move: the move.
        native: the name of its ceiling, a module or a LoRA trained on the target; `train` for the
            domain's module, `none` for no ceiling.
        eval_tokens: held-out tokens to judge on.
        also_eval: other sources of the domain, by name.
        beside: whether donor and target are run side by side, too: the ceiling of the move.

    Raises:
        InputError: side by side without a ceiling.
    """
    from transplant.evaluation.evidence import RAW, weigh
    from transplant.evaluation.likelihood import score_documents
    from transplant.workflows.tuned.controls import (
        at_work,
        controls_of,
        copied_over,
        other_domains,
        score_added,
    )

    check_held(eval_tokens)
    move.check()  # before the long work
    if beside:
        check_native(native, "the ceiling of both models side by side")
    others = read_others(move, also_eval, eval_tokens)
    best = ceiling(move, native)
    linear, learned = move.linear, move.learned
    with move.step("controls") as progress:
        controls = controls_of(move, progress)
    taught, untaught, module_free = _modules_of(move, learned)
    controls |= taught
    systems: dict[str, System] = {
        "raw": None, **({} if best is None else {"native": best.system}),
        "candidate": at_work(move.target, learned.correction),
        **controls, **untaught, **module_free, **copied_over(move), **other_domains(move),
    }  # fmt: skip
    windows = windows_of(move.target, move.domain_text.eval, 512, eval_tokens)
    with move.step("evaluate") as progress:
        likelihoods = score_documents(move.target, windows, systems, progress=progress)
        likelihoods |= score_added(move, windows)
    found = weigh(
        likelihoods,
        donor_free=(RAW, *controls),
        module_free=(*module_free,),
        ceiling=best is not None,
    )
    best_free = found.best_donor_free, found.best_module_free
    shown = dict.fromkeys(("raw", "native", "candidate", *filter(None, best_free)))
    judged = {name: systems[name] for name in shown if name in systems}
    sources = evaluate_others(move, others, judged, eval_tokens)
    if beside and best is not None:
        sources["ceiling"] = ceiling_of(
            move, best.system, systems["candidate"], linear.donor_mix, eval_tokens
        )
    return {
        "donor": move.base,
        "tuned": move.module,
        "kind": move.tuned.kind,
        "target": move.to,
        "name": f"{move.moved_name}@{move.to}",
        "student": learned.student,
        "seed": move.work.seed,
        **found.as_dict(),
        **({} if best is None else {"native_model": best.as_dict()}),
        **sources,
        **_how_it_was_made(move),
    }


def _how_it_was_made(move: TunedMove) -> dict[str, Any]:
    """The part of the report that tells of the fit, not of what it is worth."""
    linear, learned = move.linear, move.learned
    return {
        "tuned_sha256": move.tuned.sha256,
        "gain": learned.gain,
        "left_out": [*learned.left_out],
        "students": [dataclasses.asdict(one) for one in learned.tried],
        "tried": [dataclasses.asdict(way) for way in linear.tried],
        "token_coverage": move.output_map.shared.coverage,
        "pairs": move.pairing.fitted.rows,
        "paired_share": move.pairing.fitted.paired_share,
        "split": move.domain_text.fingerprint,
        **move.text_facts,
        **move.general_facts,
        "made": move.facts(),
        "seconds": move.seconds,
    }


Systems = dict[str, "System"]


def _modules_of(move: TunedMove, learned: Learned) -> tuple[Systems, Systems, Systems]:
    """Of a student that is a module: donor-free controls, what it was untaught, module-free ones.

    The donor's own has those of a module's move; of a new one nothing is module-free.
    """
    from transplant.calibration.students.module_controls import UNTAUGHT_MODULE, module_controls
    from transplant.modules.correction import Correction

    if not isinstance(learned.correction, Correction):
        return {}, {}, {}
    lesson, linear = move.lesson, move.linear
    with move.target.frozen(), move.work.reporter.progress("controls that are modules") as told:
        if learned.student == MODULE:
            return _of_moved(lesson, linear, learned, told)
        found: Systems = {**module_controls(lesson, linear, progress=told)}
    return found, {UNTAUGHT_MODULE: found.pop(UNTAUGHT_MODULE)}, {}


def _of_moved(
    lesson: Lesson, linear: Choice[LinearCorrection], learned: Learned, progress: Progress
) -> tuple[Systems, Systems, Systems]:
    """Of the donor's own module: donor-free controls, none untaught, module-free ones."""
    from transplant.calibration.move import Calibrated
    from transplant.evaluation.evidence import DONOR_FREE, MODULE_FREE
    from transplant.modules.correction import Correction
    from transplant.workflows.move.controls import build_controls

    candidate = learned.correction
    assert isinstance(candidate, Correction)
    found = build_controls(
        lesson.pairing, candidate.interface, linear.wanted,
        Calibrated(candidate, learned.gain, learned.loss), lesson.calibration, linear.config,
        progress=progress,
    )  # fmt: skip
    free: Systems = {name: found[name] for name in DONOR_FREE if name in found}
    return free, {}, {name: found[name] for name in MODULE_FREE}
