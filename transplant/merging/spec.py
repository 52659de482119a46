"""Settings of a merge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from transplant.errors import InputError
from transplant.evidence.validate.plan import SUITES, Suite
from transplant.validation import one_of


@dataclass(frozen=True, kw_only=True)
class MergeJob:
    """A recipe, the name of what it makes, and what is measured of that."""

    recipe: Path
    """A file of mergekit's recipes, in YAML."""
    name: str
    """Of the merged backbone, in the library."""
    remote: tuple[str, ...] = ()
    """A hub id of the recipe that may be fetched, of several each; no other is."""
    domains: Mapping[str, str] = field(default_factory=dict)
    """Texts that it is for, by name; none stands for the domains of what its parents host."""
    general: Mapping[str, str] = field(default_factory=lambda: {"prose": "prose"})
    """Texts that it must not get worse on, by name."""
    suite: str = "quick"
    """How much is measured: quick or full."""

    def __post_init__(self) -> None:
        """Check the names.

        Raises:
            InputError: no such suite, or a text that is named twice.
        """
        one_of(self, "suite", SUITES)
        if twice := set(self.domains) & set(self.general):
            raise InputError("the names of texts", expected="each once", found=min(twice))

    @property
    def budgets(self) -> Suite:
        """How much is measured."""
        return SUITES[self.suite]
