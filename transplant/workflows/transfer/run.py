"""A transfer carried out: the move, the evidence beside its controls, and what is stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transplant.calibration.config import MoveConfig
from transplant.calibration.students.spec import AUTO
from transplant.errors import InputError
from transplant.workflows.move.curve_job import CurveJob
from transplant.workflows.move.whole import WholeMove
from transplant.workflows.tuned.taught import WholeTaughtMove
from transplant.workflows.tuned.whole import WholeTunedMove

if TYPE_CHECKING:
    from transplant.workflows.transfer.job import TransferJob
    from transplant.workflows.work import Work


def run_transfer(
    work: Work, job: TransferJob, config: MoveConfig, *, curve: CurveJob | None = None,
    native: str | None = None, eval_tokens: int = 40_000,
    also_eval: Mapping[str, str] | None = None, ceiling: bool = False, replace: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Moves what a job names, judges it beside its controls, and stores it.

    Args:
        work: library, device, seed and reporter.
        job: what is moved where.
        config: how it is fitted.
        curve: budgets of domain text to measure in its place; nothing is stored then.
        native: the native module, the ceiling, or beside `donor` also a LoRA of the target; None
            for train: the domain's module, trained like the donor where it is missing, which takes
            three quarters of the time; none: no ceiling, and no shares of it.
        eval_tokens: held-out tokens to evaluate on.
        also_eval: other sources of the domain, by name, to evaluate on, too.
        ceiling: whether the donor, or all teachers, and the target are run side by side, too (proxy
            tuning): what the move could reach.
        replace: whether what has its name may go.

    Returns:
        The report: perplexities and shares of the ceiling's gain, of the move and its controls; of
        a curve, those shares by budget, and its files.

    Raises:
        InputError: a curve of several sources, of what is no module, or beside what it has no use
            for.
        ExistsError: the name is taken.
    """
    budgets = None if curve is None else curve.budgets
    if curve is not None and budgets is not None:
        curve.refuse(ceiling=ceiling, name=job.name, replace=replace,
                     general=None if config.less_general else job.general)  # fmt: skip
        curve.check(also_eval)
        if job.moved is None:
            raise InputError("`curve` is of a module's move", expected="`module`")
    move = plan_transfer(work, job, config)
    if curve is not None and budgets is not None:
        from transplant.workflows.move.budget_curve import run_curve

        assert isinstance(move, WholeMove)
        return run_curve(move, curve, native, eval_tokens)
    return move.transfer(
        native=native, eval_tokens=eval_tokens, also_eval=also_eval, ceiling=ceiling,
        replace=replace,
    )  # fmt: skip


def plan_transfer(work: Work, job: TransferJob, config: MoveConfig) -> WholeMove | WholeTunedMove:
    """The move that a job describes; nothing is loaded yet.

    Args:
        work: library, device, seed and reporter.
        job: what is moved where.
        config: how it is fitted.

    Raises:
        InputError: a module of another backbone than the donor, or an input map for a student.
    """
    if job.moved is not None:
        _refuse_other_donor(work, job)
        return WholeMove(
            work, job.moved, job.to, job.data, job.domain_data, config, job.name,
            text_free=job.text_free, general=job.general,
        )  # fmt: skip
    if config.method != MoveConfig.method:
        raise InputError(
            f"`method={config.method!r}` is of the map into a module that is moved as it is",
            expected="`module`", found=f"`student={job.student or AUTO!r}`, which has none",
        )  # fmt: skip
    config = dataclasses.replace(config, intercept=not job.no_intercept)
    assert job.about is not None
    learned: dict[str, Any] = {
        "domain": job.about, "student": job.student or AUTO, "students": job.students,
        "lora": job.recipe,
        "basis": job.basis, "text_free": job.text_free,
    }  # fmt: skip
    if job.teachers is not None:
        names = ",".join(job.teachers)
        return WholeTaughtMove(
            work, names, job.to, job.data, job.domain_data, config, job.name, base=names,
            teachers=job.teachers, other_base=job.other_base, **learned,
        )  # fmt: skip
    assert job.donor is not None
    assert job.tuned is not None
    return WholeTunedMove(
        work, job.tuned, job.to, job.data, job.domain_data, config, job.name, base=job.donor,
        other_base=job.other_base, general=job.general, **learned,
    )  # fmt: skip


def _refuse_other_donor(work: Work, job: TransferJob) -> None:
    """Refuses a module of another backbone than the donor that was named beside it.

    Raises:
        InputError: it names both.
    """
    from transplant.backbones.identity import difference

    assert job.moved is not None
    own = work.named(job.moved).backbone
    if job.donor in (None, own):
        return
    known = [work.library.fingerprints(name) or work.backbone(name) for name in (own, job.donor)]
    if difference(*known) is not None:
        raise InputError(
            f"`tuned={job.moved!r}` belongs to another backbone than `donor`",
            expected=job.donor, found=own,
        )  # fmt: skip
