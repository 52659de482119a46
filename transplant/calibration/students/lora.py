"""The student `lora`: low-rank pairs on the maps of the target, taught by the donor's change.

The loss is that of donor-kd: KL from the target's own logits, changed as the donor's were, to those
of the target with the pairs at work (LoRA: Hu et al. 2021, arXiv:2106.09685); in a large vocabulary
to second order, at likely tokens. Of the pairing text no next token is used; those of the
calibration split choose the rate, the step and the gain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from transplant.calibration.mapped_corrections import MappedCorrections
from transplant.calibration.move import Pairing, want
from transplant.calibration.students.copy import as_pairs, fit_copy, has_pairs
from transplant.calibration.students.learned import Learned
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.lora_gain import judging_windows, lora_gain
from transplant.calibration.students.lora_run import (
    Learner,
    LoraRun,
    PairsLearner,
    still,
    text_loss,
)
from transplant.calibration.students.recipe import LoraRecipe
from transplant.calibration.students.taught_windows import TaughtWindows, teacher_of
from transplant.calibration.tuning import Choice
from transplant.modules.linear import LinearCorrection
from transplant.progress import Progress, unseen
from transplant.surgery.lora.update import LoraUpdate


def fit_lora(
    lesson: Lesson, linear: Choice[LinearCorrection], progress: Progress | None = None
) -> Learned:
    """Teaches a LoRA at each rate for some steps, the best of them to its end; chooses its gain.

    It starts from the donor's own, at the gain of the student `copy`, where the target has its maps
    and that gain is above 0; then rank and maps are those of the donor's.

    Args:
        lesson: the paired rows, and the recipe.
        linear: the linear student, whose weights of the donor's log ratios are taken over.
        progress: is told of the steps.

    Raises:
        InputError: no text to read, or no such maps.
    """
    target, begin, begun = lesson.pairing.target, None, None
    if has_pairs(lesson.pairing.donor, target, lesson.lora):
        copied = fit_copy(lesson, linear)
        if copied.gain:
            begin, begun = lambda: PairsLearner.of(target, as_pairs(copied)), copied.loss
    found = teach_lora(
        lesson, linear, lesson.pairing, lesson.lora, progress or unseen, begin, begun=begun
    )
    facts = {**found.facts, "start": "the donor's own" if begin else "new"}
    return Learned("lora", found.update, found.gain, found.loss, facts={"learned": facts})


@dataclasses.dataclass(frozen=True)
class TaughtLora:
    """A LoRA that has learned, its gain inside."""

    update: LoraUpdate
    gain: float
    loss: float
    """Nats per token on the calibration split."""
    facts: Mapping[str, object]


def teach_lora(
    lesson: Lesson,
    linear: Choice[LinearCorrection],
    pairing: Pairing,
    recipe: LoraRecipe,
    progress: Progress,
    begin: Callable[[], Learner] | None = None,
    *,
    begun: float | None = None,
) -> TaughtLora:
    """The same from any pairing, and of any LoRA.

    Args:
        lesson: the way between the heads, and what chooses.
        linear: as above.
        pairing: the paired rows.
        recipe: the shape and the course.
        progress: is told of the steps.
        begin: gives a LoRA at its start, for each rate; None: new pairs of the recipe's shape.
        begun: the loss on the calibration split that it starts with; None: that of the target.

    Raises:
        InputError: no text to read, or no such maps.
    """
    target, calibration, seed = pairing.target, judging_windows(lesson), linear.config.seed

    def wanted() -> MappedCorrections:
        if pairing is lesson.pairing:
            return linear.wanted
        return want(pairing, lesson.output_map, linear.config, like=linear.wanted)

    teacher = teacher_of(
        target, lesson.output_map, linear.donor_mix, wanted,
        inside=bool(linear.wanted.inside),
    )  # fmt: skip
    taught = TaughtWindows(target, pairing.fitted, pairing.change, teacher, recipe.batch)
    raw = text_loss(target, None, calibration)
    start = begin or (lambda: PairsLearner(target, recipe, seed))
    first = raw if begun is None else begun
    runs = [
        LoraRun(start(), taught, calibration, recipe, rate, first, seed) for rate in recipe.rates
    ]
    trial = min(recipe.trial_steps, recipe.steps) if len(runs) > 1 else 0
    before, total = 0, trial * (len(runs) - 1) + recipe.steps + 1  # the last: the gain
    for run in runs:
        run.advance(trial, lambda step, note, at=before: progress(at + step, total, note))
        before += trial
    tried = {f"{run.rate:g}": run.course.best_loss for run in runs}
    run = min(runs, key=lambda run: run.course.best_loss)
    before = trial * (len(runs) - 1)
    run.advance(recipe.steps, lambda step, note: progress(before + step, total, note))
    known = {0.0: raw, 1.0: run.course.best_loss}
    gain, loss = lora_gain(target, run.best, calibration, linear.config.gains, known)
    progress(total, total, "gain")
    facts = {
        **dataclasses.asdict(recipe), "learning_rate": run.rate, "tried_rates": tried,
        "best_step": run.course.best_step, "calibration": run.course.history,
    }  # fmt: skip
    return TaughtLora(still(run.best, gain), gain, loss, facts)
