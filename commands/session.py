"""What every verb shares: its options, its exit codes and the road to the registry."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.options.groups import grouped, parameters_of
from commands.output import Output
from transplant.errors import TransplantError

if TYPE_CHECKING:
    from registry.entry import Broken, Entry
    from registry.manifest import Manifest
    from registry.store import Registry
    from transplant.backbones.view import Backbone
    from transplant.modules.hosted import HostedModel

EXIT_ERROR, EXIT_NOT_PASSED = 1, 3
# Found by name where no module has it.
OTHER_KINDS = ("injection", "adapter", "fusion", "bank", "tokens")

SHARED_OPTIONS: dict[str, tuple[Any, Any]] = {
    "as_json": (Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")], False),
    "quiet": (Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")], False),
    "debug": (Annotated[bool, typer.Option("--debug", help="Show tracebacks.")], False),
    "seed": (Annotated[int, typer.Option("--seed", min=0, help="Seed of every random draw.")], 0),
    "device": (Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, mps.")], "cpu"),
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
# Of the verbs that read a corpus, beside those.
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
}


class NotPassedError(Exception):
    """A benchmark ran, was printed, and did not pass: exit code 3."""


@dataclass(frozen=True)
class Session:
    """One run of one verb: the shared options, and what follows from them."""

    verb: str
    options: dict[str, Any]
    out: Output
    seed: int
    device: str
    registry_root: Path | None
    skip_bad: bool = False
    """Whether what cannot be read of a corpus is left out."""
    reading: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was not read of which corpus, where that is not all of it."""

    @functools.cached_property
    def registry(self) -> Registry:
        """The registry that `--registry` or the environment names."""
        from registry.store import Registry

        return Registry.open(self.registry_root)

    @contextmanager
    def resumable(self, path: Path) -> Iterator[None]:
        """Says after Ctrl-C that the command goes on from `path`, where there is that file."""
        try:
            yield
        except KeyboardInterrupt:
            if path.is_file():
                self.out.note(f"stopped; the same command with --resume continues {path}")
            raise

    def load(self, name: str) -> HostedModel:
        """A backbone, or a module hosted on one, by name."""
        import transplant

        self.out.note(f"loading {name}")
        hosted = transplant.load(name, library=self.registry, device=self.device)
        for note in hosted.backbone.notes:
            self.out.note(note)
        return hosted

    def load_backbone(self, name: str) -> Backbone:
        """A backbone by name; a module in the name is refused."""
        hosted = self.load(name)
        if not hosted.is_raw:
            from transplant.errors import InputError

            raise InputError(f"{name} is a hosted module", expected="a backbone's name")
        return hosted.backbone

    def find(self, name: str, kind: str | None = None) -> Entry:
        """The artifact of a name: a backbone, or the module (or another kind) hosted on one.

        Raises:
            InputError: a module inside a core, which is no artifact of its own.
            CorruptError: it is broken; the hint removes it.
        """
        from registry.entry import Broken

        found = self.held(name, kind)
        if isinstance(found, Broken):
            raise found.error
        return found

    def held(self, name: str, kind: str | None = None) -> Entry | Broken:
        """What `find` gives, or the broken folder that has its place.

        Raises:
            InputError: a module inside a core, which is no artifact of its own.
        """
        from commands.inside_cores import find_core_module
        from transplant.errors import CorruptError, InputError, NotFoundError

        module, backbone, d_abi = self.registry.split_name(name)
        if module is None:
            return self.registry.held(kind or "backbone", backbone, None, d_abi)
        lost = None
        try:
            inside = kind in (None, "module") and find_core_module(self.registry, name)
        except CorruptError as error:  # of the backbone: what stands beside it can be found
            inside, lost = None, error
        if inside:
            raise InputError(
                f"{name} is inside the core {backbone}",
                expected="an artifact of its own",
                hint=f"abi show {backbone}, or abi rm {backbone} with all that is inside",
            )
        missing = None
        for each in (kind,) if kind is not None else ("module", *OTHER_KINDS):
            try:
                return self.registry.held(each, module, backbone, d_abi)
            except NotFoundError as error:
                missing = missing or error
        assert missing is not None
        raise lost or missing

    def module_manifest(self, name: str) -> Manifest:
        """The manifest of a hosted module: one inside a core, or an artifact of its own."""
        from commands.inside_cores import find_core_module

        return find_core_module(self.registry, name) or self.find(name, "module").manifest

    def domain_source(self, name: str) -> str | None:
        """The corpus that a hosted module was trained on; None for a raw backbone."""
        from commands.inside_cores import find_core_module

        if "@" not in name:
            return None
        manifest = find_core_module(self.registry, name) or self.find(name).manifest
        source = manifest.made.get("corpus", manifest.domain)
        return None if source is None else str(source)

    def made(self, **facts: Any) -> dict[str, Any]:
        """How an artifact was made, for its manifest and its JSON."""
        import transplant

        return {
            "verb": self.verb,
            "options": self.options,
            "seed": self.seed,
            "versions": transplant.versions(),
            **({"reading": dict(self.reading)} if self.reading else {}),
            **facts,
        }


def as_command(verb: Callable[..., None], *, reads_text: bool = False) -> Callable[..., None]:
    """Gives a verb the shared options and turns what it raises into exit codes.

    The verb takes a `Session` first; Typer sees the other parameters, those that are a group field
    by field, the shared ones, and those of text where it reads any.
    """
    own = parameters_of(verb)
    options = SHARED_OPTIONS | (TEXT_OPTIONS if reads_text else {})
    shared = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
        )
        for name, (annotation, default) in options.items()
    ]

    @functools.wraps(verb)
    def command(**values: Any) -> None:
        common = {name: values.pop(name) for name in options}
        out = Output(as_json=common["as_json"], quiet=common["quiet"])
        session = Session(
            verb=verb.__name__.strip("_"),
            options=_plain(values),
            out=out,
            seed=common["seed"],
            device=common["device"],
            registry_root=common["registry"],
            skip_bad=common.get("skip_bad", False),
        )
        taken = grouped(verb, values)
        raise typer.Exit(_run(verb, session, taken, debug=common["debug"]))

    parameters = [*own, *shared]
    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _run(verb: Callable[..., None], session: Session, values: dict[str, Any], debug: bool) -> int:
    try:
        verb(session, **values)
    except NotPassedError:
        return EXIT_NOT_PASSED
    except KeyboardInterrupt:
        session.out.warn("interrupted")
        return EXIT_ERROR
    except BrokenPipeError:  # the reader of our stdout has left, as `| head` does
        sys.stderr.close()
        return EXIT_ERROR
    except TransplantError as error:
        if debug:
            raise
        session.out.error(error)
        return EXIT_ERROR
    return 0


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _as_plain(value) for name, value in values.items()}


def _as_plain(value: Any) -> Any:
    """An option's value as JSON holds it."""
    if isinstance(value, tuple | list):
        return [_as_plain(item) for item in value]
    text = str(value) if isinstance(value, Path) else value
    if isinstance(text, str):  # a path that is no UTF-8 can be stored as it is shown
        return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return text
