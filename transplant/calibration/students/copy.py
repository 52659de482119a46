"""The student `copy`: the donor's own LoRA as it is, where the target has the maps that it changes.

Of a full fine-tune it is the change of its linear maps, cut to pairs of the rank that a student
`lora` would have. So what was tuned goes on to a new version of its base. Nothing is learned but
its gain, which is 0 where the weights of the target have nothing to do with those of the donor; the
student `lora` starts from it where it is not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable

from torch import nn

from transplant.backbones.view import Backbone
from transplant.calibration.students.learned import Learned
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.lora_gain import judging_windows, lora_gain
from transplant.calibration.students.lora_run import still, text_loss
from transplant.calibration.students.recipe import LoraRecipe
from transplant.calibration.students.spec import COPY
from transplant.calibration.tuning import Choice
from transplant.errors import InputError
from transplant.modules.hosted import HostedModel
from transplant.modules.linear import LinearCorrection
from transplant.modules.tuned import TunedDonor
from transplant.progress import Progress, unseen
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.start import adapted_maps
from transplant.surgery.lora.update import LoraUpdate
from transplant.surgery.task_vector import cut_to_pairs


def fit_copy(
    lesson: Lesson, linear: Choice[LinearCorrection], progress: Progress | None = None
) -> Learned:
    """Chooses the gain of the donor's pairs on the calibration split.

    Args:
        lesson: donor, target, and the text that chooses.
        linear: whose configuration names the gains.
        progress: is told of the choice.

    Raises:
        InputError: no LoRA of plain pairs and no full fine-tune, or a target without such maps.
    """
    donor, target = lesson.pairing.donor, lesson.pairing.target
    check_copy(donor, target, lesson.lora)
    update = pairs_for(donor, target, lesson.lora)
    assert update is not None  # else it is refused
    windows = judging_windows(lesson)
    known = {0.0: text_loss(target, None, windows)}
    gain, loss = lora_gain(target, update, windows, linear.config.gains, known)
    (progress or unseen)(1, 1, "gain")
    return Learned(COPY, still(update, gain), gain, loss)


def check_copy(donor: HostedModel, target: Backbone, recipe: LoraRecipe) -> None:
    """Refuses what has no pairs to copy.

    Args:
        donor: a LoRA, a full fine-tune, or what is neither.
        target: the backbone that they go to.
        recipe: rank and maps of a full fine-tune that is cut to pairs.

    Raises:
        InputError: no LoRA of plain pairs and no full fine-tune, or a target without such maps.
    """
    if not has_pairs(donor, target, recipe):
        raise InputError(
            f"`student={COPY!r}` takes a LoRA of pairs alone, or a full fine-tune, to a target "
            "with the same maps",
            found=f"{donor.name} to {target.name}", hint="`student='linear'`, or 'lora'",
        )  # fmt: skip


def pairs_for(donor: HostedModel, target: Backbone, recipe: LoraRecipe) -> LoraUpdate | None:
    """The donor's pairs, or those that a full fine-tune is cut to; None where there are none.

    Args:
        donor: a LoRA of nothing but pairs, or a full fine-tune.
        target: a backbone with such maps.
        recipe: rank and maps of the latter.
    """
    if not has_pairs(donor, target, recipe):
        return None
    assert isinstance(donor, TunedDonor)
    model = donor.pair.tuned
    if isinstance(model, LoraModel):
        return model.update
    return cut_to_pairs(donor.pair.base, model.backbone, _maps(donor, recipe), recipe.rank)


def has_pairs(donor: HostedModel, target: Backbone, recipe: LoraRecipe) -> bool:
    """Whether `pairs_for` gives some."""
    if not isinstance(donor, TunedDonor):
        return False
    model, base = donor.pair.tuned, donor.pair.base
    if isinstance(model, LoraModel):
        pairs = model.update.pairs
        if model.update.whole or any(pair.bias is not None for pair in pairs.values()):
            return False
        return _alike(pairs, model.backbone, target)
    if type(model) is not HostedModel or not model.is_raw:
        return False
    return _alike(_maps(donor, recipe), base, target, model.backbone)


def _maps(donor: TunedDonor, recipe: LoraRecipe) -> list[str]:
    """The linear maps of the donor's base; none where it has none of those names."""
    with contextlib.suppress(InputError):
        return adapted_maps(donor.pair.base, recipe.rank, recipe.alpha, recipe.targets)
    return []


def _alike(names: Collection[str], first: Backbone, *others: Backbone) -> bool:
    """Whether all have the modules of these names, which are some, in the same shapes."""
    shapes = shapes_of(first.model, names)
    alike = all(shapes_of(other.model, names) == shapes for other in others)
    return len(shapes) == len(names) > 0 and alike


def as_pairs(learned: Learned) -> LoraUpdate:
    """The pairs that a student copied, its gain inside."""
    assert isinstance(learned.correction, LoraUpdate)
    return learned.correction


def shapes_of(model: nn.Module, names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Of the weights of those modules that have such names."""
    modules = dict(model.named_modules())
    return {name: tuple(modules[name].get_parameter("weight").shape)
            for name in names if name in modules}  # fmt: skip
