"""Verbs as a recipe sees them: a table that whoever offers verbs brings along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from transplant.library import Library
    from transplant.workflows.work import Work

REQUIRED = object()
"""In the place of the default of an option that has none."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a verb, or a setting that all of them share."""

    name: str
    """The parameter's, under which manifests record it."""
    spelled: tuple[str, ...]
    """As it is written, the first one as messages and recipes have it: `learning-rate`, `lr`."""
    type: Any
    """The annotation: `int`, `str | None`, `list[str] | None`, `tuple[Path, Path] | None`, ..."""
    default: Any = REQUIRED
    """What it is where it is not given."""
    least: float | None = None
    """The smallest number."""
    most: float | None = None
    """The largest number."""

    @property
    def is_list(self) -> bool:
        """Whether it may be given several times."""
        return "list[" in str(self.type)


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a verb has reported."""

    report: Any
    """The object that `--json` prints."""
    passed: bool
    """Whether it passed; a verb that judges nothing always does."""


class Verbs(Protocol):
    """A table of verbs, by the names that are typed."""

    def names(self) -> Sequence[str]:
        """The verbs that may be a step."""
        ...

    def options(self, verb: str) -> Sequence[Option]:
        """The options of one of them, its own and those that it shares with others."""
        ...

    def settings(self) -> Sequence[Option]:
        """The options that stand at the top of a recipe, for all steps that take them."""
        ...

    def library(self, root: Path) -> Library:
        """The library in a folder, for a recipe that names one."""
        ...

    def version(self) -> Mapping[str, Any]:
        """What must be the same for a step that was finished to count."""
        ...

    def perform(
        self, work: Work, verb: str, options: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> Done:
        """Runs a verb.

        Args:
            work: library, device, seed and reporter; `settings` go before its own.
            verb: one of `names`.
            options: values by parameter; what is not there has its default.
            settings: the same, of `settings`, as they are written.

        Raises:
            TransplantError: as the verb does.
        """
        ...
