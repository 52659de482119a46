"""Controls of a student inside the target that are LoRAs, too: nothing of them is the donor's."""

from __future__ import annotations

import dataclasses

from transplant.calibration.students.basis import learner_inside
from transplant.calibration.students.learned import Learned
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.lora import teach_lora
from transplant.calibration.students.lora_gain import judging_windows, lora_gain
from transplant.calibration.students.lora_run import still, text_loss
from transplant.calibration.students.spec import BASIS, COPY
from transplant.calibration.tuning import Choice
from transplant.modules.linear import LinearCorrection
from transplant.progress import Progress, part_of, unseen
from transplant.surgery.lora.start import untrained_like
from transplant.surgery.lora.update import LoraUpdate

SHUFFLED_LORA, UNTRAINED_LORA = "shuffled_lora", "untrained_lora"


def lora_controls(
    lesson: Lesson,
    linear: Choice[LinearCorrection],
    learned: Learned,
    *,
    progress: Progress = unseen,
) -> dict[str, LoraUpdate]:
    """The controls by name; each chooses its own gain on the calibration split, as the student.

    `shuffled_lora`: the same recipe at the rate that was chosen, the donor's rows in random order.
    `untrained_lora`: random pairs, each product B A as large as the student's.

    Args:
        lesson: what the student has learned from.
        linear: the linear student.
        learned: the student.
        progress: is told of the steps.
    """
    update = learned.correction
    assert isinstance(update, LoraUpdate)
    pairing = lesson.pairing
    if learned.student == COPY:  # nothing of it was taught
        return {UNTRAINED_LORA: _untrained(lesson, linear, update)}
    facts = (learned.facts or {})["learned"]
    mixed = dataclasses.replace(pairing, fitted=pairing.fitted.shuffled(linear.config.seed))
    recipe = dataclasses.replace(lesson.lora, rates=(float(facts["learning_rate"]),))
    steps = recipe.steps + 1  # the last: the gain of the untrained one
    learning = part_of(progress, 0, recipe.steps, steps)
    begin = learner_inside(lesson) if learned.student == BASIS else None
    shuffled = teach_lora(lesson, linear, mixed, recipe, learning, begin)
    untrained = _untrained(lesson, linear, update)
    progress(steps, steps, "gains")
    return {SHUFFLED_LORA: shuffled.update, UNTRAINED_LORA: untrained}


def _untrained(lesson: Lesson, linear: Choice[LinearCorrection], update: LoraUpdate) -> LoraUpdate:
    """Random pairs, each product as large as the student's, at the gain that suits them."""
    untrained, windows = untrained_like(update, linear.config.seed), judging_windows(lesson)
    target = lesson.pairing.target
    known = {0.0: text_loss(target, None, windows)}
    gain, _ = lora_gain(target, untrained, windows, linear.config.gains, known)
    return still(untrained, gain)
