"""Steps that show what a move was worth: validation, minimal pairs, uncertainty, a route, pages."""

from __future__ import annotations

import re

from transplant.advice.measured import Measured
from transplant.advice.steps import Step

TASKS = {"python": "python-scope"}
"""By domain, the grammar whose minimal pairs ask for what a module of it should know."""
OTHER_TASK = "agreement"


def proof_steps(
    hosted: str, baseline: str, found: Measured, *, domain: str | None, data: str | None = None
) -> tuple[Step, ...]:
    """What is run once something is hosted: none of it changes an artifact.

    Args:
        hosted: the name of what was made, as `python-from-ref-gpt2@ref-llama`.
        baseline: its raw backbone.
        found: the numbers; a route that was simulated for `hosted` is not simulated again.
        domain: what it is about.
        data: the text to judge it on, where its own record names none.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", hosted.replace("@", "-on-")).strip("-.")
    sides = {"model": hosted, "baseline": baseline}
    on = {} if data is None else {"data": data}
    pairs, task = f"{stem}-pairs.jsonl", TASKS.get(domain or "", OTHER_TASK)
    route = (
        Step(
            "uq", {**sides, **on, "out": f"{stem}-uq"},
            "calibration, and whether uncertainty tells its errors",
        ),
        Step(
            "route_sim", {"metrics": f"{stem}-uq/metrics.json", "out": f"{stem}-route"},
            "the threshold above which tokens go to the baseline, within a budget of regress",
        ),
    )  # fmt: skip
    known = found.route is not None and found.route.model == hosted
    folders = () if known else (f"{stem}-uq", f"{stem}-route")
    return (
        Step(
            "validate", {**sides, **({} if data is None else {"data": f"text={data}"})},
            "perplexity, calibration, drift and forgetting against the baseline",
        ),
        Step("cfgen", {"task": task, "out": pairs}, "minimal pairs with gold labels"),
        Step("cfeval", {**sides, "pairs": pairs}, "whether the right one of a pair is likelier"),
        *(() if known else route),
        Step("report", {"out": f"{stem}.html"}, "all of it on one page", (hosted, *folders)),
        Step("studio", {}, "all of it beside its lineage, in a browser", folders),
    )  # fmt: skip
