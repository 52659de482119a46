"""One ablation of a move, whichever is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.validation import check_held
from transplant.workflows.move.ablation import SIDE_BY_SIDE, Sizes, ablation_report
from transplant.workflows.move.ceiling import ceiling_report
from transplant.workflows.move.native import check_native
from transplant.workflows.move.shape_ablation import SHAPES, check_shapes, shapes_report
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

    Raises:
        InputError: an unknown name, or text that cannot be read, before anything is trained; names
            before the text, which can take minutes to read.
    """
    check_held(eval_tokens)
    move.check_names()
    seeds = job.seeds or Sizes.seeds
    if job.what == "shapes":
        shapes = job.only or tuple(SHAPES)
        check_shapes(shapes)
        move.target  # noqa: B018  its template reads chats; others move than the module named
        move.check_text()
        return shapes_report(move, eval_tokens, shapes, seeds)
    check_native(job.native, "what is tried side by side")
    sizes = Sizes(
        objectives=job.only or SIDE_BY_SIDE,
        modules=Sizes.modules if job.modules is None else job.modules,
        steps=job.steps, tokens=job.tokens or Sizes.tokens, seeds=seeds,
    )  # fmt: skip
    move.donor  # noqa: B018  its template reads chats; what cannot be moved fails here
    move.check_text()
    if job.what == "ceiling":
        return ceiling_report(Trials(move, job.native, eval_tokens))
    trials = Trials(move.start(), job.native, eval_tokens)
    return ablation_report(trials, job.what, sizes, job.also_eval)
