"""Session of a verb: the shared options, the exit codes and the way to the registry."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from commands.errors import flags_of
from commands.fence import EXIT_NOT_PASSED, check_working_directory, run_fenced
from commands.next_step import next_step
from commands.options.by_table import LOG_TO, MODEL_OPTIONS, PLOT, SHARED_OPTIONS, TEXT_OPTIONS
from commands.options.counts import as_typed
from commands.options.follow import followed
from commands.options.groups import parameters_of
from commands.options.models import parse_models
from commands.output import Output
from commands.verb_table import (
    NO_MODEL,
    NO_TEXT,
    PARALLEL,
    PLOTTED,
    TRAINING,
    find_verb,
)
from transplant.errors import InputError
from transplant.options import grouped
from transplant.ranks import Ranks
from transplant.values import plain_values, words_in
from transplant.workflows.revisions import check_revisions
from transplant.workspace import Workspace

if TYPE_CHECKING:
    from registry.entry import Broken, Entry
    from registry.store import Registry
    from transplant.library import HostedName, Library


@dataclass(frozen=True, kw_only=True)
class Session(Workspace):
    """One run of one verb: a workspace, and the output that it reports to."""

    out: Output

    @property
    def registry(self) -> Registry:
        """The registry that `--registry` or the environment names."""
        return cast("Registry", self.library)

    def find(self, name: str | HostedName, kind: str | None = None) -> Entry:
        """The artifact of a name, as the registry has it; see `Workspace.find`.

        Raises:
            InputError: a module inside a core, which is no artifact of its own.
            CorruptError: it is broken; the hint removes it.
        """
        from registry.entry import Broken

        found = self.held(self.named(name), kind)
        if isinstance(found, Broken):
            raise found.error
        return found

    def held(self, name: str | HostedName, kind: str | None = None) -> Entry | Broken:
        """What `find` gives, or the broken folder that has its place; a bare name is a backbone's.

        Raises:
            InputError: a module inside a core, which is no artifact of its own.
        """
        whole = self.registry.split_name(name) if isinstance(name, str) else name
        return cast("Entry | Broken", self._first(whole, kind, self.registry.held))


def open_session(
    verb: str, out: Output, root: Path | None = None, options: dict[str, Any] | None = None,
    library: Library | None = None, **settings: Any,
) -> Session:  # fmt: skip
    """A session on a registry: the one at `root`, else that of the environment.

    Args:
        verb: what the work is recorded as.
        out: where its words go.
        root: the registry's folder.
        options: what it was asked with.
        library: in the place of a registry at `root`.
        settings: of `JobSetting`: seed, device, dtype and the like.
    """
    from registry.store import Registry

    return Session(
        library=library or Registry.open(root), reporter=out, verb=verb, options=options or {},
        out=out, **settings,
    )  # fmt: skip


def run_verb(
    verb: Callable[..., None], values: Mapping[str, Any], common: Mapping[str, Any], out: Output,
    **settings: Any,
) -> None:  # fmt: skip
    """Runs a verb once, in a session of its own.

    Args:
        verb: its function.
        values: of its own options, by parameter.
        common: of those that it shares with others, as they are typed.
        out: where its result goes.
        settings: of `open_session`; those of `common` go before them.
    """
    given = dict(common)
    unasked = {name: (default, []) for name, (_, default) in MODEL_OPTIONS.items()}
    models = {name: given[name] for name in unasked if given.get(name, []) not in unasked[name]}
    asked = plain_values({**values, **models})
    asked |= {name: given[name] for name in TEXT_OPTIONS if given.get(name)}
    given.update(parse_models(given))
    plot, log_to = given.pop("plot", None), given.pop("log_to", None)
    session = open_session(verb.__name__.strip("_"), out, options=asked, **{**settings, **given})
    if values.get("record") is None:  # it names backbones, too, and is read later
        check_revisions(session.revision, words_in(values))
    try:
        with followed(session, out, plot, log_to, asked):
            verb(session, **grouped(verb, values, {"seed": session.seed}))
    finally:
        session.registry.release()


def shared_options(name: str) -> dict[str, tuple[Any, Any]]:
    """The options that a verb shares with others, by parameter: annotation and default.

    Those of text and of models where it reads any; a verb that has an option of the same name keeps
    its own.
    """
    options = SHARED_OPTIONS | ({} if name in NO_MODEL else MODEL_OPTIONS)
    options |= {} if name in NO_TEXT else TEXT_OPTIONS
    options |= PLOT if name in PLOTTED else {}
    options |= LOG_TO if name in TRAINING else {}
    own = {parameter.name for parameter in parameters_of(find_verb(name))}
    return {option: given for option, given in options.items() if option not in own}


def as_command(name: str) -> Callable[..., None]:
    """Gives a verb the shared options and turns what it raises into exit codes.

    The verb takes a `Session` first; Typer sees the other parameters, those that are a group field
    by field, and those of `shared_options`.

    Args:
        name: as it is typed.
    """
    verb, options, parallel = find_verb(name), shared_options(name), name in PARALLEL
    own = parameters_of(verb)
    follow = {option for option in options if option in PLOT or option in LOG_TO}
    flags = flags_of(verb) | {option: f"--{option.replace('_', '-')}" for option in follow}
    shared = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
        )
        for name, (annotation, default) in options.items()
    ]

    @functools.wraps(verb)
    def command(**values: Any) -> None:
        # Not `name`: Python 3.12.1 would lose the one that `act` reads.
        common = {option: values.pop(option) for option in options}
        out = Output(as_json=common.pop("as_json"), quiet=common.pop("quiet"))
        debug, root = common.pop("debug"), common.pop("registry")

        def run() -> int:
            check_working_directory()
            ranks = Ranks.of_environment()
            if ranks.count > 1 and not parallel:
                raise InputError(
                    "this verb runs in one process", expected="WORLD_SIZE 1", found=ranks.count,
                    hint="it without a launcher",
                )  # fmt: skip
            out.silent = not ranks.first
            with ranks.together():
                return act()

        def act() -> int:
            try:
                run_verb(verb, values, common, out, root=root)
            finally:
                if out.report is not None:
                    out.next(next_step(name, values, out.report))
            return 0 if out.passed else EXIT_NOT_PASSED

        raise typer.Exit(run_fenced(run, out, debug=debug, flags=flags))

    command.__doc__ = (inspect.getdoc(verb) or "").partition("\n\nArgs:")[0]
    parameters = [*map(as_typed, own), *shared]
    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command
