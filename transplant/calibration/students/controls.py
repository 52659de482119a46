"""Donor-free controls of a student: the same fit to changes that hold nothing of the donor's.

Each chooses its own gain on the calibration split, as the student does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from transplant.alignment.unembedding import fit_output_map
from transplant.calibration.config import MoveConfig
from transplant.calibration.gain import choose_gains, scaled
from transplant.calibration.mapped_corrections import MappedCorrections, map_corrections
from transplant.calibration.move import want
from transplant.calibration.output_map import OutputMap, joined_maps
from transplant.calibration.students.lesson import Lesson
from transplant.calibration.students.linear import linear_map
from transplant.calibration.tuning import Choice
from transplant.modules.hosted import HostedModel
from transplant.modules.linear import LinearCorrection
from transplant.modules.panel import Panel
from transplant.modules.tuned import TunedDonor
from transplant.progress import Progress, unseen

SHUFFLED, EQUAL_NORM, ALONE = "shuffled_pairs", "equal_norm", "donor_alone"


def student_controls(
    lesson: Lesson, choice: Choice[LinearCorrection], *, progress: Progress = unseen
) -> dict[str, LinearCorrection]:
    """The controls by name: linear students, whatever the student is.

    `shuffled_pairs`: the donor's rows in random order. `equal_norm`: the donor's change turned by a
    random rotation, so that it is as large at each position and as smooth a function of the text.
    `donor_alone`: log p_donor - log p_target alone, where it was added.

    Args:
        lesson: what the student has learned from.
        choice: the student in its linear form.
        progress: is told of each that is fitted, and of their gains.
    """
    config, pairing = choice.config, lesson.pairing
    wanted = {SHUFFLED: _shuffled(lesson, choice), EQUAL_NORM: _turned(lesson, config)}
    if config.donor_word:
        target, paired, way = pairing.target, pairing.fitted, choice.wanted.output_map
        wanted[ALONE] = lambda: (
            lesson, map_corrections(way, None, target, paired, config, like=choice.wanted)
        )  # fmt: skip
    fitted: dict[str, LinearCorrection] = {}
    steps = len(wanted) + 1  # the last: their gains
    for number, (name, make) in enumerate(wanted.items(), 1):
        fitted[name] = linear_map(*make(), config)
        progress(number, steps, "controls")
    gains = choose_gains(
        pairing.target, fitted, lesson.calibration, config.gains, solve=config.solve_gain
    )
    progress(steps, steps, "gains")
    return {name: scaled(one, gains[name][0]) for name, one in fitted.items()}


Made = Callable[[], tuple[Lesson, MappedCorrections]]


def _shuffled(lesson: Lesson, choice: Choice[LinearCorrection]) -> Made:
    def make() -> tuple[Lesson, MappedCorrections]:
        config, pairing = choice.config, lesson.pairing
        mixed = dataclasses.replace(pairing, fitted=pairing.fitted.shuffled(config.seed))
        wanted = want(mixed, lesson.output_map, config, like=choice.wanted)
        return dataclasses.replace(lesson, pairing=mixed), wanted

    return make


def _turned(lesson: Lesson, config: MoveConfig) -> Made:
    def make() -> tuple[Lesson, MappedCorrections]:
        pairing = lesson.pairing
        change, output_map = turned_change(lesson, config)
        wanted = map_corrections(output_map, change, pairing.target, pairing.fitted, config)
        return lesson, wanted

    return make


def turned_change(
    lesson: Lesson, config: MoveConfig
) -> tuple[Callable[[Mapping[int, Tensor]], Tensor], OutputMap]:
    """The donor's change under a random rotation, and the way between the heads that goes with it.

    Of two heads the difference of the heads is turned as well, and that of the biases permuted; of
    several donors each change is turned by itself.

    Args:
        lesson: the paired rows and the donor.
        config: its seed draws the rotations.
    """
    pairing, output_map = lesson.pairing, lesson.output_map
    generator, donor = torch.Generator().manual_seed(config.seed), pairing.donor
    if not isinstance(donor, Panel):
        turned, way = _turned_one(donor, output_map, config, generator)
        return lambda taps: turned(pairing.change(taps)), way
    every = [
        _turned_one(one, part, config, generator)
        for one, part in zip(donor.teachers, output_map.parts, strict=True)
    ]
    widths, ways = [part.width for part in output_map.parts], [way for _, way in every]

    def change(taps: Mapping[int, Tensor]) -> Tensor:
        own = pairing.change(taps).split(widths, dim=1)
        found = [turned(part) for (turned, _), part in zip(every, own, strict=True)]
        return torch.cat(found, dim=1)

    return change, joined_maps(ways)


def _turned_one(
    donor: HostedModel, output_map: OutputMap, config: MoveConfig, generator: torch.Generator
) -> tuple[Callable[[Tensor], Tensor], OutputMap]:
    """Of one donor: from its correction to the turned one, and the way that goes with it."""
    if not isinstance(donor, TunedDonor) or donor.pair.one_head:
        turn = _rotation(output_map.width, generator)
        return lambda correction: correction @ turn, output_map
    width = donor.pair.base.d_model
    turn, turn_head = _rotation(width, generator), _rotation(width, generator)

    def turned(correction: Tensor) -> Tensor:
        h_tuned, h_base, constant = correction.split([width, width, 2], dim=1)
        return torch.cat([h_base + (h_tuned - h_base) @ turn, h_base, constant], dim=1)

    tuned, minus_base, biases = output_map.wide_donor.weight.split([width, width, 2], dim=1)
    shift = biases[:, :1] - biases[:, 1:]
    shift = shift[torch.randperm(len(shift), generator=generator)]
    head = torch.cat(
        [(tuned + minus_base) @ turn_head - minus_base, minus_base,
         biases[:, 1:] + shift, biases[:, 1:]],
        dim=1,
    )  # fmt: skip
    matrix = fit_output_map(head, output_map.head, output_map.shared, config.output_ridge)
    turned_head = dataclasses.replace(output_map.donor, weight=head)
    return turned, dataclasses.replace(output_map, donor=turned_head, matrix=matrix)


def _rotation(width: int, generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(width, width, generator=generator)).Q
