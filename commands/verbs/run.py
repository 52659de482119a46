"""Run a recipe: train, transfer, judge and export in one file, each step kept once it is finished.

Example: abi run recipe.yaml --dry-run
Example: abi run recipe.yaml
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import Field
from commands.session import Session


def run(
    session: Session,
    *,
    recipe: Annotated[Path, Field(argument=True, metavar="RECIPE")],
    dry_run: bool = False,
) -> None:
    """Run a recipe, and go on with it where it was stopped; exit 3 where a step does not pass.

    A step is kept while its text, what it reads and what it made are as they were; from the first
    other one on all run. Options count where the recipe says nothing.

    Args:
        recipe: YAML: settings, and a list of steps, each a verb with its options.
        dry_run: check everything, say what would run, run nothing.
    """
    from commands.steps import StepVerbs
    from registry.store import Registry
    from transplant.recipes.job import run_recipe
    from transplant.tables.recipe import recipe_table

    typed = session.registry.root != Registry.open().root  # --registry
    report = run_recipe(session, recipe, StepVerbs(session.out), dry_run=dry_run, own_library=typed)
    session.out.result(report, recipe_table(report), passed=report["pass"])
