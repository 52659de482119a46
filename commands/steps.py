"""The verbs as steps of a recipe: the table of the command line, as `transplant` sees it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any, cast

from commands.errors import flags_of, in_flags, long_names, version_of_abi
from commands.options.by_table import MODEL_OPTIONS, SHARED_OPTIONS, TEXT_OPTIONS
from commands.options.groups import parameters_of
from commands.output import Output
from commands.session import run_verb, shared_options
from commands.verb_table import ALONE, VERBS, find_verb
from transplant.errors import TransplantError
from transplant.library import Library
from transplant.progress import Progress, Reporter
from transplant.recipes.verbs import REQUIRED, Done, Option
from transplant.tables.table import Sheet, Table
from transplant.tables.words import Words
from transplant.workflows.work import Work

OF_THE_RUN = ("as_json", "quiet", "debug", "registry")
"""Shared options that belong to the run, not to a step."""


class StepVerbs:
    """The verbs of the command line; satisfies `Verbs`.

    Args:
        out: where the tables of steps go as they come; None for nowhere.
    """

    def __init__(self, out: Output | None = None) -> None:
        self._out = out

    def names(self) -> Sequence[str]:
        """The verbs that may be a step."""
        return [name for names in VERBS.values() for name in names if name not in ALONE]

    def options(self, verb: str) -> Sequence[Option]:
        """The options of a verb, its own and those that it shares with others."""
        return _options(verb)

    def settings(self) -> Sequence[Option]:
        """The options of all steps, and the registry."""
        shared = SHARED_OPTIONS | MODEL_OPTIONS | TEXT_OPTIONS
        kept = {name: it for name, it in shared.items() if name not in OF_THE_RUN[:-1]}
        return [_shared(name, *it) for name, it in kept.items()]

    def library(self, root: Path) -> Library:
        """The registry in a folder."""
        from registry.store import Registry

        return cast("Library", Registry.open(root))

    def version(self) -> Mapping[str, Any]:
        """The versions that a result depends on."""
        from transplant.loading.hosted import versions

        return {"abi": version_of_abi(), **versions()}

    def perform(
        self, work: Work, verb: str, options: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> Done:
        """Runs a verb in a session of its own; see `Verbs.perform`."""
        function, shared = find_verb(verb), shared_options(verb)
        out = StepOutput(work.reporter, self._out)
        own = {parameter.name: parameter.default for parameter in parameters_of(function)}
        values = {**own, **{name: value for name, value in options.items() if name in own}}
        taken = {name: value for name, value in settings.items() if name not in OF_THE_RUN}
        given = {name: value for name, value in (taken | {**options}).items() if name in shared}
        try:
            run_verb(function, values, given, out, library=work.library, **_settings(work, shared))
        except TransplantError as error:
            raise in_flags(error, flags_of(function)) from error
        return Done(report=out.report, passed=out.passed)


class StepOutput(Output):
    """The output of a step: its report is kept, its tables go to the output of the whole.

    Args:
        told: who hears of the progress.
        shown: where tables go; None for nowhere.
    """

    def __init__(self, told: Reporter, shown: Output | None) -> None:
        super().__init__(quiet=True)
        self._told, self._shown = told, shown

    def result(self, data: Any, human: Table | Sheet | Words, *, passed: bool = True) -> None:
        """Keeps a report, draws it where that was asked for, and shows its tables."""
        picture = None if self.draw is None else self.draw(data)
        self.report = data if picture is None else {**data, "plot": picture}
        self.passed = passed
        if self._shown is not None and not self._shown.as_json:
            self._shown.show(human)

    @property
    def is_live(self) -> bool:
        """A step's text comes whole."""
        return False

    def note(self, text: str) -> None:
        """Passes a note on."""
        self._told.note(text)

    def warn(self, text: str) -> None:
        """Passes a warning on."""
        self._told.warn(text)

    def progress(self, title: str) -> AbstractContextManager[Progress]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Has the course of long work followed."""
        return self._told.progress(title)


@cache
def _options(verb: str) -> tuple[Option, ...]:
    own = [_option(parameter) for parameter in parameters_of(find_verb(verb))]
    shared = shared_options(verb).items()
    return (*own, *(_shared(name, *it) for name, it in shared if name not in OF_THE_RUN))


def _shared(name: str, annotation: Any, default: Any) -> Option:
    kind = inspect.Parameter.KEYWORD_ONLY
    return _option(inspect.Parameter(name, kind, default=default, annotation=annotation))


def _option(parameter: inspect.Parameter) -> Option:
    """A parameter of a verb as a recipe has it."""
    declared = getattr(parameter.annotation, "__metadata__", (None,))[0]
    empty = parameter.default is inspect.Parameter.empty
    # Of `--on/--off` the first: a recipe says true or false.
    long = [word.partition("/")[0].removeprefix("--") for word in long_names(parameter)]
    return Option(
        name=parameter.name,
        spelled=tuple(long) or (parameter.name.strip("_").replace("_", "-"),),
        type=getattr(parameter.annotation, "__origin__", parameter.annotation),
        default=REQUIRED if empty else parameter.default,
        least=getattr(declared, "min", None),
        most=getattr(declared, "max", None),
    )


def _settings(work: Work, shared: Mapping[str, Any]) -> dict[str, Any]:
    """What a step takes from the work of the whole."""
    names = ("seed", "device", *MODEL_OPTIONS, "skip_bad", "text_column")
    return {name: getattr(work, name) for name in names if name in shared}
