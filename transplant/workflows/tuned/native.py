"""The ceiling of a move of a fine-tune: a module trained on the target with the domain's text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transplant.errors import InputError
from transplant.training.config import TrainConfig
from transplant.workflows.cores.add_module import refuse_inside
from transplant.workflows.move.native import (
    COST,
    EVAL_TOKENS,
    LEFT_OUT,
    TRAINED,
    no_ceiling,
)
from transplant.workflows.train.module import TrainJob, run_train_job

if TYPE_CHECKING:
    from transplant.modules.correction import Correction
    from transplant.workflows.tuned.move import TunedMove


def ceiling(move: TunedMove, name: str | None) -> Correction | None:
    """The native module; trained by the default recipe where none is named and none is there.

    None where it is left out.

    Args:
        move: the move.
        name: the module's; None or `train` for the domain's, `none` for no ceiling.

    Raises:
        InputError: what has that name was moved there, or was trained on other text.
    """
    from transplant.loading.hosted import host

    if name == LEFT_OUT:
        return None
    name = None if name == TRAINED else name
    native, library = name or move.domain, move.work.library
    refuse_inside(move.target, native)
    if native == move.moved_name:
        raise InputError(
            f"{native} would name both what is moved and its ceiling", hint="another `name`"
        )
    look = library.get if name is None else library.find
    entry = look("module", native, move.to)
    if entry is None:
        move.work.reporter.note(f"no native {native} on {move.to} yet: training it, {COST}")
        config = TrainConfig(seed=move.work.seed)
        job = TrainJob(move.to, move.domain, move.domain_source, native, config, EVAL_TOKENS)
        with move.step("train_native"):
            run_train_job(move.work, job)
    else:
        found = entry.manifest
        trained_here = not found.parents
        if not trained_here or found.made.get("split") != move.domain_text.fingerprint:
            raise no_ceiling(
                move, f"{native}@{move.to}",
                "other text" if trained_here else "a module that was moved there",
            )  # fmt: skip
    correction = host(move.target, native, library).correction
    assert correction is not None
    return correction
