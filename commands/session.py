"""Session of a verb: the shared options, the exit codes and the way to the registry."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from commands.errors import flags_of
from commands.fence import EXIT_NOT_PASSED, check_working_directory, run_fenced
from commands.next_step import next_step
from commands.options.follow import followed
from commands.options.groups import grouped, parameters_of
from commands.options.models import MODEL_OPTIONS, parse_models
from commands.options.values import models_asked, plain_values, words_in
from commands.output import Output
from commands.verb_table import typed_name
from transplant.errors import InputError
from transplant.ranks import Ranks
from transplant.workflows.revisions import check_revisions
from transplant.workspace import Workspace

if TYPE_CHECKING:
    from registry.entry import Broken, Entry
    from registry.store import Registry
    from transplant.library import HostedName


MAX_SEED = 2**62  # generators take 63 bits, and runs draw from the seeds that follow
SHARED_OPTIONS: dict[str, tuple[Any, Any]] = {
    "as_json": (Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")], False),
    "quiet": (Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")], False),
    "debug": (Annotated[bool, typer.Option("--debug", help="Show tracebacks.")], False),
    "seed": (
        Annotated[
            int, typer.Option("--seed", min=0, max=MAX_SEED, help="Seed of every random draw.")
        ],
        0,
    ),
    "device": (
        Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")],
        "cpu",
    ),
    "registry": (
        Annotated[
            Path | None,
            typer.Option(
                "--registry",
                help="Registry folder; default: $ABI_REGISTRY, else the user data folder.",
            ),
        ],
        None,
    ),
}
# Of the verbs that read a corpus.
TEXT_OPTIONS: dict[str, tuple[Any, Any]] = {
    "skip_bad": (
        Annotated[
            bool,
            typer.Option(
                "--skip-bad",
                help="Leave out files and rows of the text that cannot be read, by name.",
            ),
        ],
        False,
    ),
    "text_column": (
        Annotated[
            str | None,
            typer.Option("--text-column", help="The column of rows that is their text."),
        ],
        None,
    ),
}


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

        found = self.held(name, kind)
        if isinstance(found, Broken):
            raise found.error
        return found

    def held(self, name: str | HostedName, kind: str | None = None) -> Entry | Broken:
        """What `find` gives, or the broken folder that has its place.

        Raises:
            InputError: a module inside a core, which is no artifact of its own.
        """
        return cast("Entry | Broken", self._first(self.named(name), kind, self.registry.held))


def open_session(
    verb: str, out: Output, root: Path | None = None, options: dict[str, Any] | None = None,
    **settings: Any,
) -> Session:  # fmt: skip
    """A session on a registry: the one at `root`, else that of the environment.

    Args:
        verb: what the work is recorded as.
        out: where its words go.
        root: the registry's folder.
        options: what it was asked with.
        settings: of `Work`: seed, device, dtype and the like.
    """
    from registry.store import Registry

    return Session(
        library=Registry.open(root), reporter=out, verb=verb, options=options or {}, out=out,
        **settings,
    )  # fmt: skip


def as_command(
    verb: Callable[..., None],
    *,
    reads_text: bool = False,
    loads_model: bool = False,
    parallel: bool = False,
    follow: Mapping[str, tuple[Any, Any]] | None = None,
) -> Callable[..., None]:
    """Gives a verb the shared options and turns what it raises into exit codes.

    The verb takes a `Session` first; Typer sees the other parameters, those that are a group field
    by field, the shared ones, and those of text and of models where it reads any. A verb that has
    an option of the same name keeps its own. A `parallel` one may run in several processes.
    """
    own = parameters_of(verb)
    options = SHARED_OPTIONS | (MODEL_OPTIONS if loads_model else {})
    options |= TEXT_OPTIONS if reads_text else {}
    options |= follow or {}
    options = {name: given for name, given in options.items() if name not in {p.name for p in own}}
    flags = flags_of(verb) | {name: f"--{name.replace('_', '-')}" for name in follow or {}}
    shared = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
        )
        for name, (annotation, default) in options.items()
    ]

    @functools.wraps(verb)
    def command(**values: Any) -> None:
        common = {name: values.pop(name) for name in options}
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
            asked = {**plain_values(values), **models_asked(common)}
            if "revision" in common:
                common.update(parse_models(common))
            plot, log_to = common.pop("plot", None), common.pop("log_to", None)
            session = open_session(verb.__name__.strip("_"), out, root, asked, **common)
            if values.get("record") is None:  # it names backbones, too, and is read later
                check_revisions(session.revision, words_in(values))
            try:
                with followed(session, out, plot, log_to, asked):
                    verb(session, **grouped(verb, values, {"seed": session.seed}))
            finally:
                session.registry.release()
                if out.report is not None:
                    name = typed_name(verb.__name__)
                    out.next(next_step(name, values, out.report))
            return 0 if out.passed else EXIT_NOT_PASSED

        raise typer.Exit(run_fenced(run, out, debug=debug, flags=flags))

    command.__doc__ = (inspect.getdoc(verb) or "").partition("\n\nArgs:")[0]
    parameters = [*own, *shared]
    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command
