"""The main job from end to end: a module trained in one backbone, moved to others, and proved."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transplant.calibration.config import MoveConfig
from transplant.errors import NotFoundError
from transplant.training.config import TrainConfig
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.library import Library


@dataclass(frozen=True, kw_only=True)
class DemoPlan:
    """What a demo trains, where it moves it, and how much of everything it reads."""

    donor: str
    """The backbone that the module is trained in."""
    targets: tuple[str, ...]
    """The backbones that it is moved to."""
    domain: str = "python"
    """The module's name."""
    data: str = "python"
    """The domain's text."""
    pair_on: str | None = "prose"
    """The text that a move pairs on; None for the domain's, whose next tokens are not used."""
    train: TrainConfig = dataclasses.field(
        default_factory=lambda: TrainConfig(steps=250, train_tokens=200_000)
    )
    """The recipe of the module and of its ceilings."""
    move: MoveConfig = dataclasses.field(default_factory=lambda: MoveConfig(donor_words=(0.0,)))
    """How it is moved."""
    eval_tokens: int = 40_000
    """Held-out tokens to judge on."""

    @property
    def backbones(self) -> tuple[str, ...]:
        """All that it needs."""
        return (self.donor, *self.targets)

    def of(
        self, domain: str, data: str | None = None, *, eval_tokens: int | None = None,
        **recipe: int | None,
    ) -> DemoPlan:  # fmt: skip
        """The plan for another domain, with what is given of its sizes.

        Args:
            domain: the module's name.
            data: the domain's text; None for the corpus of that name.
            eval_tokens: held-out tokens; None for those of the plan.
            recipe: fields of the training; None for those of the plan.
        """
        given = {name: value for name, value in recipe.items() if value is not None}
        return dataclasses.replace(
            self, domain=domain, data=data or domain,
            train=dataclasses.replace(self.train, **given),
            eval_tokens=eval_tokens or self.eval_tokens,
        )  # fmt: skip


SHIPPED = DemoPlan(donor="ref-gpt2", targets=("ref-gpt2-b", "ref-llama"))
"""On the backbones that ship with the package."""
REAL = DemoPlan(
    donor="smollm2", targets=("gemma",), pair_on=None, eval_tokens=2_000,
    train=TrainConfig(
        steps=30, batch=2, window=256, train_tokens=15_000, calibration_tokens=2_000,
        evaluate_every=15,
    ),
    move=MoveConfig(excerpts=40, held_out_excerpts=8, columns=1024, donor_words=(0.0,)),
)  # fmt: skip
"""On two models that people use, as `tests/benchmarks/fetch_real.py` makes them; it is short."""


SCRIPT = """\
1. train a `{plan.domain}` module in ref-gpt2                                about 55 s
2. train the native ceilings in ref-gpt2-b and ref-llama              about 95 s
3. move the module to both, fit the controls, evaluate                about 120 s
Nothing is trained on the targets but the ceilings; the moves take no gradient step."""
REAL_SCRIPT = """\
1. train a small `{plan.domain}` module in smollm2, in {plan.train.steps} short steps
2. train its ceiling in gemma
3. move the module from smollm2 to gemma, fit the controls, evaluate
About 10 minutes on one core. It shows that all of it works, not how well:
steps and text are few, and both models know `python` already (`data`
names other text)."""
"""What a demo on either does, to be told before it; `plan` is put in."""


def run_demo(work: Work, plan: DemoPlan) -> dict[str, Any]:
    """Trains the module and its ceilings, moves it, and judges every move beside its controls.

    Args:
        work: library, device, seed and reporter; what was made by an earlier demo is replaced.
        plan: what is made.

    Returns:
        The reports `trained`, by backbone, and `moves`, the plan, and seconds.
    """
    from transplant.workflows.move.whole import WholeMove
    from transplant.workflows.train.module import TrainJob, run_train_job

    began = time.monotonic()
    config = dataclasses.replace(plan.train, seed=work.seed)
    trained, moves = {}, []
    for backbone in plan.backbones:
        job = TrainJob(backbone, plan.domain, plan.data, plan.domain, config, plan.eval_tokens)
        work.reporter.note(f"training {plan.domain}@{backbone} ...")
        trained[backbone] = run_train_job(work, job, replace=True)
    module = f"{plan.domain}@{plan.donor}"
    for target in plan.targets:
        work.reporter.note(f"moving {module} to {target} ...")
        move_config = dataclasses.replace(plan.move, seed=work.seed)
        pair_on = plan.pair_on or plan.data
        move = WholeMove(work, module, target, pair_on, None, move_config)
        report = move.evidence(eval_tokens=plan.eval_tokens).report
        move.store(replace=True)
        ppl = report["ppl"]
        gained = math.log(ppl["raw"] / ppl["native"])
        moves.append({**report, "native_gains": gained})
    return {
        "trained": trained, "moves": moves, "plan": dataclasses.asdict(plan),
        "seconds": time.monotonic() - began,
    }  # fmt: skip


def require_added(library: Library, names: Iterable[str]) -> None:
    """Refuses before the work where a real model is not in a library.

    Raises:
        NotFoundError: naming it, with what to type.
    """
    for name in names:
        if not library.holds_backbone(name):
            raise NotFoundError(
                f"the real model {name} was not added", expected=f"a backbone of that name in "
                f"{library.root}",
                hint=f"tests/benchmarks/fetch_real.py fetches it; then "
                f"`add('real/{name}.gguf', name={name!r})`",
            )  # fmt: skip


def refer_to(work: Work, library: Library, names: Iterable[str]) -> None:
    """Adds backbones of another library by reference, so that what is made stays out of it.

    Args:
        work: whose library they are added to.
        library: that holds them.
        names: in either.
    """
    from transplant.workflows.add import AddJob, run_add

    for name in names:
        folder = library.backbone_path(name)
        assert folder is not None
        replace = work.library.holds_backbone(name)
        run_add(work, AddJob(source=folder, name=name, replace=replace))
