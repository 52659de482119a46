"""The student `module-new`: a fresh domain module behind the target's taps.

It reads the directions of the taps that the linear student writes with, whitened; `P_out` is solved
for in closed form, and then interface and module learn together by donor-kd, in a large vocabulary
by donor-changes. No text of the domain is read but what chooses the gain.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap
from transplant.alignment.basis import TapBases
from transplant.calibration.closed_form import fit_module_output
from transplant.calibration.gain import choose_gain, scaled
from transplant.calibration.mapped_corrections import taught_by
from transplant.calibration.objectives.config import EVERYTHING, LearnConfig
from transplant.calibration.objectives.run import Material, fit_by
from transplant.calibration.students.learned import Learned
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.tuning import Choice
from transplant.modules.correction import Correction
from transplant.modules.forms import MlpModule
from transplant.modules.interface import Interface
from transplant.modules.linear import LinearCorrection
from transplant.progress import Progress, part_of

LEARN = LearnConfig(train=EVERYTHING, steps=200, evaluate_every=25, patience=6)
FLOOR = 1e-6  # of the largest variance: smaller ones are not divided by


def fit_module_new(
    lesson: Lesson, linear: Choice[LinearCorrection], progress: Progress | None = None
) -> Learned:
    """Fits the interface, teaches it and the module, and chooses the gain.

    Args:
        lesson: the paired rows.
        linear: the linear student, which says what of the taps is of use.
        progress: is told of the steps.
    """
    config, pairing = linear.config, lesson.pairing
    start = untaught_module(lesson, linear)
    material = Material(
        target=pairing.target, pairing=pairing, output_map=lesson.output_map,
        donor_mix=linear.donor_mix, wanted=linear.wanted, mapping=config,
    )  # fmt: skip
    objective = taught_by(pairing.target)
    recipe = dataclasses.replace(LEARN, seed=config.seed)
    steps = recipe.steps + 1  # the last one chooses the gain
    learning = part_of(progress, 0, recipe.steps, steps)
    learnt = fit_by(objective, start, material, recipe, progress=learning)
    gain, loss = choose_gain(
        pairing.target, learnt.correction, lesson.calibration, config.gains, solve=config.solve_gain
    )
    part_of(progress, steps, 0, steps)(1, 1, "gain")
    facts = {
        "objective": objective,
        **dataclasses.asdict(recipe),
        "best_step": learnt.course.best_step,
    }
    return Learned(
        "module-new", scaled(learnt.correction, gain), gain, loss, facts={"learned": facts}
    )


@torch.no_grad()
def untaught_module(lesson: Lesson, linear: Choice[LinearCorrection]) -> Correction:
    """A random module behind whitened taps, its `P_out` solved for.

    Args:
        lesson: the paired rows.
        linear: the linear student.
    """
    config, target = linear.config, lesson.pairing.target
    like = linear.calibrated.correction
    generator = torch.Generator().manual_seed(config.seed)
    interface = Interface(
        target.d_model, lesson.d_abi, like.taps,
        tap_norms=len(like.interface.tap_norms) > 0, generator=generator,
    )  # fmt: skip
    reading = whitened(lesson, like)
    if like.bases:
        reading = TapBases(tuple(like.bases)).folded(reading)
    reading.write_to(interface.proj_in)
    module = MlpModule(lesson.d_abi, generator=generator)
    return fit_module_output(interface, module, lesson.pairing.fitted, linear.wanted, config)


def whitened(lesson: Lesson, linear: LinearCorrection) -> AffineMap:
    """From what the map reads to d_abi directions of variance 1: first those that it writes with.

    The leading principal directions of what is read make up for what lacks.
    """
    weight = linear.proj_out.weight.T.double()  # [columns, d_model]
    moments = CrossMoments(len(weight), 1)
    for batch in lesson.pairing.fitted.batches:
        x = linear.gather(batch.target.taps)
        moments.update(x, x[:, :1])
    xx = moments.centred()[0]
    used = weight @ _leading(weight.T @ xx @ weight, lesson.d_abi)
    lacking = lesson.d_abi - used.shape[1]
    columns = torch.cat([used, _leading(xx, lacking)], dim=1) if lacking else used
    mean = moments.x / moments.count
    return AffineMap(columns.float(), (-mean @ columns).float())


def _leading(covariance: Tensor, count: int) -> Tensor:
    """Directions of the most variance, each divided by its deviation [width, count at most]."""
    values, vectors = torch.linalg.eigh(covariance)  # ascending
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    return vectors / values.clamp_min(FLOOR * values.max().clamp_min(1e-30)).sqrt()
