"""The student `copy`: the donor's own LoRA as it is, where the target has the maps that it changes.

So an adapter goes on to a new version of its base. Nothing is learned but its gain, which is 0
where the weights of the target have nothing to do with those of the donor; the student `lora`
starts from it where it is not.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from transplant.backbones.view import Backbone
from transplant.calibration.students.learned import Learned
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.lora_gain import judging_windows, lora_gain
from transplant.calibration.students.lora_run import still, text_loss
from transplant.calibration.students.spec import COPY
from transplant.calibration.tuning import Choice
from transplant.errors import InputError
from transplant.modules.hosted import HostedModel
from transplant.modules.linear import LinearCorrection
from transplant.modules.tuned import TunedDonor
from transplant.progress import Progress, unseen
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.update import LoraUpdate


def fit_copy(
    lesson: Lesson, linear: Choice[LinearCorrection], progress: Progress | None = None
) -> Learned:
    """Chooses the gain of the donor's pairs on the calibration split.

    Args:
        lesson: donor, target, and the text that chooses.
        linear: whose configuration names the gains.
        progress: is told of the choice.

    Raises:
        InputError: no LoRA of plain pairs, or a target without such maps.
    """
    update = pairs_for(lesson.pairing.donor, lesson.pairing.target)
    if update is None:
        raise InputError(
            f"`student={COPY!r}` takes a LoRA of pairs alone to a target with the same maps",
            found=f"{lesson.pairing.donor.name} to {lesson.pairing.target.name}",
            hint="`student='linear'`, or 'lora'",
        )  # fmt: skip
    windows = judging_windows(lesson)
    known = {0.0: text_loss(lesson.pairing.target, None, windows)}
    gain, loss = lora_gain(lesson.pairing.target, update, windows, linear.config.gains, known)
    (progress or unseen)(1, 1, "gain")
    return Learned(COPY, still(update, gain), gain, loss)


def pairs_for(donor: HostedModel, target: Backbone) -> LoraUpdate | None:
    """The donor's pairs, where it is a LoRA of nothing else and the target has such maps."""
    model = donor.pair.tuned if isinstance(donor, TunedDonor) else None
    if not isinstance(model, LoraModel):
        return None
    update = model.update
    if update.whole or any(pair.bias is not None for pair in update.pairs.values()):
        return None
    ours, theirs = (shapes_of(one.model, update.pairs) for one in (model.backbone, target))
    return update if ours == theirs else None


def as_pairs(learned: Learned) -> LoraUpdate:
    """The pairs that a student copied, its gain inside."""
    assert isinstance(learned.correction, LoraUpdate)
    return learned.correction


def shapes_of(model: nn.Module, names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Of the weights of those modules that have such names."""
    modules = dict(model.named_modules())
    return {name: tuple(modules[name].get_parameter("weight").shape)
            for name in names if name in modules}  # fmt: skip
