"""One ablation of a move, whichever is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.workflows.move.ablation import SIDE_BY_SIDE, Sizes, ablation_report
from transplant.workflows.move.ceiling import ceiling_report
from transplant.workflows.move.shape_ablation import SHAPES, shapes_report
from transplant.workflows.move.trials import Trials

if TYPE_CHECKING:
    from transplant.workflows.move.ablation_job import AblationJob
    from transplant.workflows.move.whole import WholeMove


def run_ablation(move: WholeMove, job: AblationJob, eval_tokens: int) -> dict[str, Any]:
    """Runs an ablation and judges all of it on the same held-out documents; nothing is stored.

    Args:
        move: what is ablated; it is not carried out yet.
        job: which ablation, and how much of it.
        eval_tokens: held-out tokens to evaluate on.

    Returns:
        The report; `ablation` says which one it is.
    """
    move.check_names()
    _check_text(move, job.what)
    seeds = job.seeds or Sizes.seeds
    if job.what == "shapes":
        return shapes_report(move, eval_tokens, job.only or tuple(SHAPES), seeds)
    if job.what == "ceiling":
        return ceiling_report(Trials(move, job.native, eval_tokens))
    sizes = Sizes(
        objectives=job.only or SIDE_BY_SIDE,
        modules=Sizes.modules if job.modules is None else job.modules,
        steps=job.steps, tokens=job.tokens or Sizes.tokens, seeds=seeds,
    )  # fmt: skip
    trials = Trials(move.start(), job.native, eval_tokens)
    return ablation_report(trials, job.what, sizes, job.also_eval)


def _check_text(move: WholeMove, what: str) -> None:
    """Refuses pairing text that cannot be read before a native or a shape is trained."""
    if what == "shapes":  # it moves others than the module that is named
        move.target  # noqa: B018  its template reads chats
    else:
        move.donor  # noqa: B018  the same; what cannot be moved fails here
    move.check_text()
