"""What `--objective` asks for, applied to a move."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any

from transplant.backbones.identity import difference
from transplant.calibration.objectives.choice import ObjectiveChoice
from transplant.calibration.objectives.config import LearnConfig
from transplant.calibration.objectives.spec import PAIRED, Spec
from transplant.errors import InputError
from transplant.workflows.corpus import windows_of
from transplant.workflows.move.move import Move

if TYPE_CHECKING:
    from transplant.calibration.objectives.learn import Learnt
    from transplant.calibration.objectives.run import Material
    from transplant.modules.correction import Correction

WINDOW = 512


def apply_objective(move: Move, choice: ObjectiveChoice) -> None:
    """Calibrates the move by an objective; from then on it is what the move stores.

    It starts from the closed form, which may read the objective's domain text as well, or on the
    module's own backbone from its own interface.
    """
    from transplant.calibration.gain import choose_gain, scaled
    from transplant.calibration.move import Calibrated
    from transplant.calibration.objectives.run import fit_by

    if choice.objective == "closed-form":
        return
    oracle = anchor_on(move, choice.anchor) if choice.anchor else None
    move.paired = reads_pairs(move, choice)
    config = choice.learn_config(move.work.seed)
    if move.paired and choice.pairs_budget:
        tokens = min(config.tokens, config.paired_tokens)
        move.pair_also(windows_of(move.target, move.domain_text.train, WINDOW, tokens))
    start = move.calibrated.correction if move.paired else copy.deepcopy(move.donor_correction)
    material = material_for(move, choice.spec, config, start, oracle)
    with (
        move.target.frozen(),
        move.step("learn"),
        move.work.reporter.progress(choice.objective) as progress,
    ):
        learnt = fit_by(choice.objective, start, material, config, progress=progress)
    gains = move.config.gains if choice.spec.gain else (1.0,)
    gain, loss = choose_gain(move.target, learnt.correction, move.calibration_text, gains)
    move.calibrated = Calibrated(scaled(learnt.correction, gain), gain, loss)
    move.objective = facts_of(choice, config, learnt)
    if PAIRED in choice.spec.needs:
        move.objective["voice"] = dataclasses.asdict(material.voice)


def material_for(
    move: Move, spec: Spec, config: LearnConfig, start: Correction, oracle: Correction | None
) -> Material:
    """What an objective needs, of a move: its pairs, its domain text as rows, its oracle."""
    from transplant.calibration.objectives.run import Material
    from transplant.training.rows import row_source

    found = Material(target=move.target, oracle=oracle)
    if PAIRED in spec.needs:
        found = dataclasses.replace(
            found, pairing=move.pairing, output_map=move.output_map, voice=move.choice.voice
        )
    if not spec.reads_domain:
        return found
    taps = sorted({*start.taps, *(oracle.taps if oracle is not None else ())})
    text = move.domain_text
    with move.step("read_domain_text"):
        train, calibration = (
            row_source(
                move.target, windows_of(move.target, side, WINDOW, tokens), taps,
                folder=move.work.library.root,
            )
            for side, tokens in (
                (text.train, config.tokens), (text.calibration, config.calibration_tokens),
            )
        )  # fmt: skip
    return dataclasses.replace(found, train=train, calibration=calibration)


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
        recipe = {"tokens": config.tokens}
    elif not choice.spec.reads_domain:
        recipe = {k: v for k, v in recipe.items() if "tokens" not in k}
    return {
        "name": choice.objective,
        "needs": list(choice.spec.needs),
        "anchor": choice.anchor,
        **recipe,
        "steps_taken": learnt.course.step,
        "best_step": learnt.course.best_step,
        "history": learnt.course.history,
    }
