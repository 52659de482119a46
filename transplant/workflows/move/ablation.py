"""The ablations of calibration: which objective, whose module, from which start."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from transplant.calibration.objectives.choice import ObjectiveChoice
from transplant.calibration.objectives.config import LearnConfig
from transplant.calibration.objectives.spec import PAIRED, SPECS
from transplant.errors import InputError
from transplant.workflows.move.other_sources import evaluate_others, read_others
from transplant.workflows.move.trials import MODULES, Trials

# The published protocol: an oracle teaches for 1200 steps at 1e-4.
PUBLISHED = {"steps": 1200, "learning_rate": 1e-4}
# After a colon: what moves, where it is not what the objective moves by itself.
SIDE_BY_SIDE = (*SPECS, "donor-kd:interface")
STARTS = ("new", "closed-form")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much of an ablation is run."""

    objectives: tuple[str, ...] = SIDE_BY_SIDE
    """Of `objectives`: which."""
    modules: tuple[str, ...] = MODULES
    """Whose modules stand behind the interface."""
    steps: int | None = None
    """Of every objective; None for its own, or the published number."""
    tokens: int = 32_000
    """Of domain text, where an objective reads it."""
    seeds: int = 1
    """Runs of everything that is drawn: random modules, new interfaces, the text."""

    def __post_init__(self) -> None:
        names = {name.partition(":")[0] for name in self.objectives}
        unknown = names - SPECS.keys() | {*self.modules} - {*MODULES}
        if unknown or not self.objectives or not self.modules:
            raise InputError(
                "`objectives` or `modules`",
                expected=f"of {', '.join(SPECS)}; of {', '.join(MODULES)}",
                found=", ".join(sorted(unknown)) or "nothing",
            )


def ablate_objectives(trials: Trials, sizes: Sizes) -> None:
    """Every objective by its own recipe, with the donor's module, a random one and none.

    All start from the closed form of the module that they calibrate.
    """
    for seed in _seeds(trials, sizes):
        material = trials.material(sizes.tokens, LearnConfig.calibration_tokens, seed)
        for whose in sizes.modules:
            began = time.monotonic()
            start = trials.closed_form(whose, seed)
            facts = {"module": whose, "seed": seed, "from": "closed-form"}
            if "closed-form" in sizes.objectives:
                trials.keep(
                    f"closed-form/{whose}/{seed}", start, objective="closed-form",
                    needs=[PAIRED], **facts, steps=0, seconds=time.monotonic() - began,
                )  # fmt: skip
            for label in sizes.objectives:
                if label == "closed-form":
                    continue
                name, _, train = label.partition(":")
                choice = ObjectiveChoice(
                    objective=name, tokens=sizes.tokens, steps=sizes.steps, train=train or None
                )
                config = choice.learn_config(seed)
                moves = config.train if SPECS[name].learn else "p-out"
                trials.learn(
                    f"{label}/{whose}/{seed}", name, start, material, config,
                    **{**facts, "train": moves, "label": label},
                )  # fmt: skip


def ablate_controls(trials: Trials, sizes: Sizes) -> None:
    """The published protocol (an oracle teaches) with the controls that it lacked.

    From a new interface (distillation alone) and from the closed form (both), with the donor's
    module, a random one and none; and the closed form alone.
    """
    for seed in _seeds(trials, sizes):
        asked = {**PUBLISHED, **({} if sizes.steps is None else {"steps": sizes.steps})}
        choice = ObjectiveChoice(objective="kd", tokens=sizes.tokens)
        # The published runs take all their steps; the best look is kept here as everywhere.
        config = dataclasses.replace(choice.learn_config(seed), **asked, patience=10**6)
        config = dataclasses.replace(config, evaluate_every=max(1, config.steps // 12))
        material = trials.material(sizes.tokens, config.calibration_tokens, seed)
        for whose in sizes.modules:
            facts: dict[str, Any] = {"module": whose, "seed": seed}
            began = time.monotonic()
            closed = trials.closed_form(whose, seed)
            trials.keep(
                f"closed-form/{whose}/{seed}", closed, objective="closed-form", needs=[PAIRED],
                **facts, **{"from": "nothing"}, steps=0, seconds=time.monotonic() - began,
            )  # fmt: skip
            for start in STARTS:
                begin = closed if start == "closed-form" else trials.untouched(whose, seed)
                label = f"kd/{start}/{whose}/{seed}"
                trials.learn(
                    label, "kd", begin, material, config,
                    **facts, **{"from": start, "train": config.train},
                )  # fmt: skip


ABLATIONS: dict[str, Callable[[Trials, Sizes], None]] = {
    "objectives": ablate_objectives,
    "controls": ablate_controls,
}


def ablation_report(
    trials: Trials, what: str, sizes: Sizes, also_eval: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Runs an ablation and judges all of it on the same held-out documents.

    Args:
        trials: the move, its ceiling, and what is tried.
        what: of `ABLATIONS`.
        sizes: how much of it.
        also_eval: other sources of the domain, by name, to judge on, too.
    """
    move = trials.move
    move.donor  # noqa: B018  it reads chats, where the text is any
    others = read_others(move, also_eval, trials.eval_tokens)
    trials.oracle  # noqa: B018  the ceiling first: what cannot be compared fails early
    ABLATIONS[what](trials, sizes)
    rows = trials.judge()
    systems = {"raw": None, "native": trials.oracle, **trials.corrections}
    sources = evaluate_others(move, others, systems, trials.eval_tokens)
    return {
        **sources,
        "ablation": what,
        "sizes": dataclasses.asdict(sizes),
        "rows": rows,
        "means": means_over_seeds(rows),
        **reason_of(rows),
        **trials.facts(),
    }


def reason_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Why rows have no share of a native's gain, for JSON; the first reason of several."""
    reasons = [row["no_ceiling"] for row in rows if "no_ceiling" in row]
    return {"no_ceiling": reasons[0]} if reasons else {}


def means_over_seeds(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each objective, start and module: the mean, and Student's interval if it can."""
    from transplant.evaluation.intervals import t_interval

    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        label = row.get("label", row["objective"])
        groups.setdefault((label, row["from"], row["module"]), []).append(row)
    means = []
    for (objective, start, module), group in groups.items():
        values = [row["recovered"] for row in group if row["recovered"] is not None]
        several = t_interval(values).as_list() if len(values) > 1 else None
        judged = [row["nib"] for row in group if row["nib"]["pass"] is not None]
        found: dict[str, Any] = {
            "objective": objective, "from": start, "module": module,
            "seeds": [row["seed"] for row in group], "needs": group[0]["needs"],
            "recovered": sum(values) / len(values) if values else None,
            # Over seeds where there are several; else over the documents of the one.
            "interval": several or group[0]["interval"],
            "ppl": sum(row["ppl"] for row in group) / len(group),
            "seconds": sum(row["seconds"] for row in group) / len(group),
        }  # fmt: skip
        if judged:
            criteria = ("top5", "top1", "js", "entropy")
            found["nib"] = {k: sum(nib[k] for nib in judged) / len(judged) for k in criteria}
            found["nib"]["passed"] = sum(nib["pass"] for nib in judged)
        means.append(found)
    return means


def _seeds(trials: Trials, sizes: Sizes) -> range:
    first = trials.move.work.seed
    return range(first, first + sizes.seeds)
