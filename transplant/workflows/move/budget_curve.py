"""The budget curve: what a moved module is worth as the target's domain text grows."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.evaluation.curve import CURVES, crossing
from transplant.files.cells import Cells
from transplant.workflows.move.ablation import reason_of
from transplant.workflows.move.native import native_recipe
from transplant.workflows.move.objective import ObjectiveChoice
from transplant.workflows.move.trials import Trials

if TYPE_CHECKING:
    from transplant.calibration.objectives.config import LearnConfig
    from transplant.calibration.objectives.run import Material
    from transplant.workflows.move.curve_job import CurveJob
    from transplant.workflows.move.whole import WholeMove

LOOKS = {"evaluate_every": 10, "patience": 15}  # of the native: it must not miss its best
CELLS = "curve-cells"  # beside the plot, by curve
MOVED = {"moved": "donor", "random": "random"}  # whose module


def run_curve(
    move: WholeMove, curve: CurveJob, native: str | None, eval_tokens: int
) -> dict[str, Any]:
    """Measures a move over budgets of domain text, and writes plot and JSON.

    Args:
        move: what is measured; it is not carried out yet.
        curve: the budgets, and the folder.
        native: the name of the ceiling; None for the domain's.
        eval_tokens: held-out tokens to judge on.

    Returns:
        The report of `curve_report`, and its files.
    """
    from transplant.pictures.curve import write_curve

    assert curve.budgets is not None
    move.check_names()
    trials, folder = Trials(move.start(), native, eval_tokens), curve.out or Path()
    report = curve_report(trials, curve, folder / CELLS)
    return {**report, "files": write_curve(folder, report)}


def curve_report(trials: Trials, curve: CurveJob, folder: Path) -> dict[str, Any]:
    """Recovered against target-domain tokens, for the three of `CURVES`.

    At a budget of 0 the moved module is the closed form, and the native the raw backbone. The text
    of a budget is paired with the donor as well, and the closed form fitted on it, too. All
    three stop early by the same text of the calibration split, which the budget does not count.
    Where the ceiling gains nothing, no point is a number, and `no_ceiling` says why.

    Args:
        trials: the move and its ceiling.
        curve: budgets in tokens, ascending; seeds of the draws of the text, of the random module
            and of the native's first weights; what is asked of the calibration.
        folder: of the cells, one for each budget and seed: what is there is not measured again.

    Raises:
        InputError: a move that may read no text of the domain.
    """
    from transplant.calibration.mapped_corrections import taught_by

    move, first = trials.move, trials.move.work.seed
    if move.text_free:
        raise InputError("`text_free`", expected="no curve: its budgets are of domain text")
    budgets = curve.budgets or ()
    choice = ObjectiveChoice(
        objective=f"lm+{taught_by(move.target)}", steps=curve.steps, chunks=curve.chunks
    )
    cells = cells_of(trials, choice, folder)
    seeds = [*range(first, first + curve.seeds)]
    rows = [
        row for seed in seeds for budget in budgets
        for row in budget_rows(trials, cells, choice, budget, seed)
    ]  # fmt: skip
    reason = reason_of(rows)
    found = {name: {budget: [] for budget in budgets} for name in CURVES}
    for row in rows:
        found[row["curve"]][row["budget"]].append(row["recovered"])
    if 0 in budgets:  # the native is the raw backbone there, by definition
        found["native"][0] = [None if reason else 0.0] * curve.seeds
    curves = {
        name: [_point(budget, values) for budget, values in by_budget.items()]
        for name, by_budget in found.items()
    }
    mean = {name: [point["recovered"] for point in points] for name, points in curves.items()}
    return {
        "objective": choice.objective,
        "pairing_corpus": move.data,
        "budgets": list(budgets),
        "seeds": seeds,
        "curves": curves,
        "crossing_tokens": None if reason else crossing(budgets, mean["moved"], mean["native"]),
        **reason,
        "rows": rows,
        "early_stopping_tokens": choice.learn_config(first).calibration_tokens,
        **trials.facts(),
    }


def cells_of(trials: Trials, choice: ObjectiveChoice, folder: Path) -> Cells:
    """Where budgets and seeds of this curve are kept; other curves have other folders."""
    from transplant.backbones.arithmetic import name_of
    from transplant.backbones.fingerprint import hash_tensors

    move = trials.move
    run = {
        **move.parents(), "target": move.target.weights_sha256,
        "dtypes": [name_of(model.dtype) for model in (move.donor.backbone, move.target)],
        "native": hash_tensors(trials.oracle.state_dict()),
        "config": dataclasses.asdict(move.config), "general": move.general,
        "pairing_split": move.pairing_split, "domain_split": move.domain_split,
        "objective": dataclasses.asdict(choice), "eval_tokens": trials.eval_tokens,
    }  # fmt: skip
    name = hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:12]
    return Cells(folder / name, run)


def budget_rows(
    trials: Trials, cells: Cells, choice: ObjectiveChoice, budget: int, seed: int
) -> list[dict[str, Any]]:
    """The rows of one budget and seed, as `Trials.judge` gives them: read, or measured and kept."""
    name = f"{budget}-{seed}"
    cell = cells.read(name)
    if cell is None:
        trials = trials.of_the_same()
        run_budget(trials, choice, budget, seed)
        cell = cells.write(name, {"rows": trials.judge(nib=False)})
    else:
        trials.move.work.reporter.note(f"{budget:,} tokens, seed {seed}: from {cells.folder}")
    return cell["rows"]


def _point(budget: int, values: list[float | None]) -> dict[str, Any]:
    """The mean over seeds and Student's interval; None of both where there is no ceiling."""
    from transplant.evaluation.intervals import t_interval

    shares = [value for value in values if value is not None]
    return {
        "tokens": budget,
        "recovered": sum(shares) / len(shares) if shares else None,
        "interval": t_interval(shares).as_list() if len(shares) > 1 else None,
        "by_seed": values,
    }


def run_budget(trials: Trials, choice: ObjectiveChoice, budget: int, seed: int) -> None:
    """The three systems of one budget and one seed."""
    config = choice.learn_config(seed)
    paired = trials.draw(min(budget, config.paired_tokens), seed) if budget else []
    fitted = trials.pairing_also(paired) if paired else trials
    starts = {name: fitted.closed_form(whose, seed) for name, whose in MOVED.items()}
    if budget == 0:
        for name, start in starts.items():
            trials.keep(f"{name}/0/{seed}", start, curve=name, budget=0, seed=seed)
        return
    config = dataclasses.replace(config, tokens=budget)
    material = fitted.material(budget, config.calibration_tokens, seed)
    for name, start in starts.items():
        label = f"{name}/{budget}/{seed}"
        facts = {"curve": name, "budget": budget, "seed": seed}
        trials.learn(label, choice.objective, start, material, config, **facts)
    train_native(trials, material, config)


def train_native(trials: Trials, material: Material, moved: LearnConfig) -> None:
    """A module and an interface from scratch, by the donor's recipe, on the same windows.

    It takes as many steps as the moved module may, looks at the calibration split more often, and
    may stay untrained: a small budget is over before the recipe's first look, and would only harm.
    """
    from transplant.training.loop import mean_loss, new_correction, train_module

    move, began = trials.move, time.monotonic()
    assert material.train is not None
    assert material.calibration is not None
    budget, seed = moved.tokens, moved.seed
    recipe = native_recipe(move)
    recipe = dataclasses.replace(
        recipe, train_tokens=budget, seed=seed, steps=max(recipe.steps, moved.steps), **LOOKS
    )
    label = f"native/{budget}/{seed}"
    with move.target.frozen(), move.work.reporter.progress(label) as progress:
        trained = train_module(
            move.target, material.train, material.calibration, recipe, progress=progress
        )
    found, target = trained.correction, move.target
    untrained = new_correction(target.d_model, recipe.d_abi, found.taps, seed).to(target.device)
    if trained.course.best_loss > mean_loss(target, material.calibration, untrained):
        found = untrained.requires_grad_(False).eval()
    trials.keep(
        label, found, curve="native", budget=budget, seed=seed,
        steps=trained.course.step, best_step=trained.course.best_step,
        seconds=time.monotonic() - began,
    )  # fmt: skip
