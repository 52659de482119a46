"""A move calibrated by an objective other than the closed form."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from transplant.backbones.identity import difference
from transplant.calibration.objectives.choice import ObjectiveChoice
from transplant.calibration.objectives.config import LearnConfig
from transplant.calibration.objectives.spec import PAIRED, Spec
from transplant.errors import InputError
from transplant.workflows.corpus import windows_of
from transplant.workflows.move.move import Move

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transplant.calibration.move import Calibrated
    from transplant.calibration.objectives.run import Material
    from transplant.calibration.objectives.train import Learnt
    from transplant.modules.correction import Correction
    from transplant.text.windows import Window
    from transplant.training.row_sources import RowSource

M = TypeVar("M", bound=Move)
WINDOW = 512


def with_objective(move: M, choice: ObjectiveChoice) -> M:
    """The move calibrated by an objective.

    It starts from the closed form, which may read the objective's domain text as well, or on the
    module's own backbone from its own interface.
    """
    if choice.objective == "closed-form":
        return move
    oracle = anchor_on(move, choice.anchor) if choice.anchor else None
    move = move.taking(paired=reads_pairs(move, choice))
    config = choice.learn_config(move.work.seed)
    seed = config.window_seed
    if move.paired and choice.pairs_budget and not move.text_free:  # its text is paired already
        tokens = min(config.tokens, config.paired_tokens)
        text = move.domain_text.train
        move = move.pair_also(windows_of(move.target, text, WINDOW, tokens, seed=seed))
    start = move.calibrated.correction if move.paired else copy.deepcopy(move.donor_correction)
    train = None
    if choice.spec.reads_domain:
        text = move.learned_text.train
        train = windows_of(move.target, text, WINDOW, config.tokens, seed=seed)
    material = material_for(
        move, choice.spec, train, config.calibration_tokens, oracle, start.taps, seed=seed
    )
    with move.step("learn"):
        learnt = learn(move, choice.objective, start, material, config)
    gains = move.config.gains if choice.spec.gain else (1.0,)
    calibrated = with_gain(move, learnt.correction, gains, move.calibration_text)
    facts = facts_of(choice, config, learnt)
    if PAIRED in choice.spec.needs:
        facts["donor_mix"] = material.donor_mix.to_dict()
    return move.taking(calibrated=calibrated, objective=facts)


def learn(
    move: Move, objective: str, start: Correction, material: Material, config: LearnConfig,
    title: str | None = None,
) -> Learnt:  # fmt: skip
    """Calibrates a correction by an objective; the move stays as it is."""
    from transplant.calibration.objectives.run import fit_by

    with move.target.frozen(), move.work.reporter.progress(title or objective) as progress:
        return fit_by(objective, start, material, config, progress=progress)


def with_gain(
    move: Move, correction: Correction, gains: Sequence[float], text: Sequence[Window] | RowSource
) -> Calibrated:
    """The correction with the gain that suits a calibration text, and its loss there."""
    from transplant.calibration.gain import choose_gain, scaled
    from transplant.calibration.move import Calibrated

    solve = move.config.solve_gain and len(gains) > 1
    gain, loss = choose_gain(move.target, correction, text, gains, solve=solve)
    return Calibrated(scaled(correction, gain), gain, loss)


def material_for(
    move: Move,
    spec: Spec,
    train: Sequence[Window] | None,
    calibration_tokens: int,
    oracle: Correction | None,
    taps: Sequence[int],
    *,
    seed: int | None = None,
) -> Material:
    """What an objective needs, of a move: its pairs, its domain text as rows, its oracle.

    Args:
        move: the move.
        spec: what the objective needs.
        train: windows of the domain's training split; None where it reads none.
        calibration_tokens: of the domain's calibration split, on which learning stops.
        oracle: what teaches.
        taps: the layers that the correction reads; the oracle's are read as well.
        seed: draws the windows of the calibration split; None for the first ones.
    """
    from transplant.calibration.objectives.run import Material
    from transplant.training.row_sources import row_sources

    found = Material(target=move.target, oracle=oracle)
    if PAIRED in spec.needs:
        found = dataclasses.replace(
            found, pairing=move.pairing, output_map=move.output_map,
            donor_mix=move.choice.donor_mix, wanted=move.wanted, mapping=move.choice.config,
        )  # fmt: skip
    if train is None:
        return found
    read = sorted({*taps, *(oracle.taps if oracle is not None else ())})
    text = move.learned_text.calibration
    held = windows_of(move.target, text, WINDOW, calibration_tokens, seed=seed)
    with move.step("read_domain_text") as progress:
        rows, calibration = row_sources(
            move.target, (train, held), read, folder=move.work.library.root, progress=progress
        )
    return dataclasses.replace(found, train=rows, calibration=calibration)


def anchor_on(move: Move, name: str) -> Correction:
    """The interface and module of a model hosted on the target.

    Raises:
        InputError: a raw backbone, or one hosted on another.
    """
    hosted = move.work.load(name)
    if hosted.correction is None or difference(hosted.backbone, move.target):
        raise InputError(
            f"`anchor={name!r}` is not at work on the target",
            expected=f"a module on {move.to}",
            found="a raw backbone" if hosted.correction is None else hosted.backbone.name,
        )
    return hosted.correction


def reads_pairs(move: Move, choice: ObjectiveChoice) -> bool:
    """Whether the objective needs pairs, or starts from the closed form, which does."""
    return PAIRED in choice.spec.needs or not _at_home(move)


def _at_home(move: Move) -> bool:
    """Whether the target is the module's own backbone, and its interface one of its own."""
    from transplant.modules.correction import Correction

    same = difference(move.donor.backbone, move.target) is None
    return same and type(move.donor_correction) is Correction


def facts_of(choice: ObjectiveChoice, config: LearnConfig, learnt: Learnt) -> dict[str, Any]:
    """How an objective was fitted, for manifests and JSON."""
    recipe = dataclasses.asdict(config)
    if choice.spec.learn is None:
        recipe = {"tokens": config.tokens, "window_choice": config.window_choice}
    elif not choice.spec.reads_domain:
        recipe = {k: v for k, v in recipe.items() if "tokens" not in k and k != "window_choice"}
    return {
        "name": choice.objective,
        "needs": list(choice.spec.needs),
        "anchor": choice.anchor,
        **recipe,
        "steps_taken": learnt.course.step,
        "best_step": learnt.course.best_step,
        "history": learnt.course.history,
    }
