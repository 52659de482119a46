"""The student `basis`: C alone of an adapter inside directions of the target, taught by the donor.

It is the student `lora` with B = U_r C and A = R_r, of which U_r and R_r stand still: see
`transplant.basis.adapter`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import torch
from torch import nn

from transplant.backbones.view import Backbone
from transplant.basis.adapter import BasisAdapter, Subspace
from transplant.basis.maps import select_maps
from transplant.calibration.students.learned import Learned
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.lora import teach_lora
from transplant.calibration.tuning import Choice
from transplant.errors import InputError
from transplant.modules.linear import LinearCorrection
from transplant.progress import Progress, unseen
from transplant.surgery.lora.update import LoraUpdate


class InsideLearner:
    """The matrices C learn, from 0.

    Args:
        target: the frozen backbone.
        subspaces: where each map may be changed.
    """

    def __init__(self, target: Backbone, subspaces: Mapping[str, Subspace]) -> None:
        self._adapter = BasisAdapter(subspaces).to_device(target.device)
        self._maps = [found for found in select_maps(target) if found.name in subspaces]
        self.moving: Sequence[nn.Parameter] = [*self._adapter.c]

    def inside(self) -> AbstractContextManager[None]:
        """Has the adapter at work."""
        return self._adapter.attached(self._maps)

    def update(self) -> LoraUpdate:
        """As pairs."""
        return self._adapter.as_lora()


def fit_inside(
    lesson: Lesson, linear: Choice[LinearCorrection], progress: Progress | None = None
) -> Learned:
    """Teaches C at each rate for some steps, the best of them to its end; chooses its gain.

    Args:
        lesson: the paired rows, the recipe, and the directions.
        linear: the linear student, whose weights of the donor's log ratios are taken over.
        progress: is told of the steps.

    Raises:
        InputError: no text to read, or no directions.
    """
    found = teach_lora(
        lesson, linear, lesson.pairing, lesson.lora, progress or unseen, learner_inside(lesson)
    )
    return Learned("basis", found.update, found.gain, found.loss, facts={"learned": found.facts})


def learner_inside(lesson: Lesson) -> Callable[[], InsideLearner]:
    """What gives an adapter at its start.

    Raises:
        InputError: the lesson names no directions.
    """
    subspaces = lesson.inside
    if subspaces is None:
        raise InputError("the student basis", expected="`basis`, one of the target with ranks")
    return lambda: InsideLearner(lesson.pairing.target, subspaces)


@torch.no_grad()
def adapter_from(update: LoraUpdate, subspaces: Mapping[str, Subspace]) -> BasisAdapter:
    """The adapter whose pairs these are, gains inside: C = s U_r' B, or s B.

    Args:
        update: pairs B = U_r C, A = R_r.
        subspaces: U_r and R_r by map.
    """
    adapter = BasisAdapter(subspaces)
    for name, c in zip(adapter.names, adapter.c, strict=True):
        pair = update.pairs[name]
        c.copy_(pair.scale * subspaces[name].into(pair.b))
    return adapter
