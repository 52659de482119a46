"""The part of the front door that runs recipes, and tells them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import TransplantError
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.recipes.verbs import Verbs


class RecipeWorkspace(Work):
    """Recipes, by file and by name; see `Workspace`."""

    def run(self, recipe: str | Path, *, dry_run: bool = False) -> dict[str, Any]:
        """Runs a recipe, and goes on with it where it was stopped; see `recipes.job`.

        Args:
            recipe: a file of steps, each a verb of the command line with its options. Settings at
                its top go before those of this workspace; so does a registry that it names.
            dry_run: check everything and say what would run.

        Returns:
            The report: `steps` with the report of each, and `pass`.

        Raises:
            InputError: a recipe that cannot run, with file and line.
            TransplantError: what a step raises.
        """
        from transplant.recipes.job import run_recipe

        with _installed_verbs() as verbs:
            return run_recipe(self, recipe, verbs, dry_run=dry_run)

    def recipe_of(self, name: str, kind: str | None = None) -> str:
        """The recipe that made an artifact, as text that `run` reads.

        Args:
            name: of the artifact.
            kind: of the artifact; None for whichever there is.

        Raises:
            NotFoundError: no such artifact.
            InputError: its manifest tells no verb that may be a step.
        """
        from transplant.recipes.origin import origin_of

        with _installed_verbs() as verbs:
            return origin_of(self, name, kind, verbs)["yaml"]


@contextmanager
def _installed_verbs() -> Iterator[Verbs]:
    """The verbs that an installed package offers under the entry point `transplant.verbs`.

    Raises:
        TransplantError: no package offers any.
    """
    from transplant.installed import plain_names

    offered = [*metadata.entry_points(group="transplant.verbs")]
    if not offered:
        raise TransplantError("no verbs are installed", hint="pip install -e .")
    with plain_names():
        yield offered[0].load()()
