"""Options of a verb: its parameters, those that are a group of options field by field.

A group is a frozen dataclass: the library's own configuration, of which `Fields` names the fields
that are options, or one of the command line. Name, type, default and bounds are those of the field;
`commands.options.descriptions` finds what `--help` says of it.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, cast

import typer
from typer.models import ParameterInfo

from transplant.validation import Bounds

FLAGS = {
    "learning_rate": ("--learning-rate", "--lr"),
    "opening": ("--open",),
    "source": ("--from",),
}
"""Flags of parameters that are not called as they are, unless the option says otherwise."""
OF_SESSION = ("seed",)
"""Fields that take the value of an option that all verbs have."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """What an option has that the field or the parameter does not say by itself."""

    of: str = ""
    """The field's name; none where the option has the same."""
    default: Any = ...
    """The default, where this verb has another one than the field."""
    low: float | None = None
    """The least value, where this verb has another one than the field."""
    flags: str = ""
    """Its flags, as `"--eval-data --data"`, where the parameter's name does not give them."""
    metavar: str | None = None
    """What stands for the value in the help; None for its type."""
    help: str | None = None
    """What the help says, where the library does not say it."""
    argument: bool = False
    """Whether it is typed without a flag."""
    parse: Callable[[Any], Any] | None = None
    """From what is typed to the field's value; None where Typer does it."""
    several: bool = False
    """Whether it may be given again and again: `parse` takes a list, then."""
    show: Callable[[Any], str] = str
    """The default as it is typed, where there is a `parse`."""


@dataclass(frozen=True, init=False)
class Fields:
    """Which fields of a configuration are options of a verb; the others keep their defaults.

    Args:
        names: those that are options as they are, as `"steps batch"`; `seed` is that of the run.
        others: those that are one under another name or as text, by the option's name; of a field
            that is a configuration itself, which of its fields are.
    """

    fields: Mapping[str, Field]
    inner: Mapping[str, Fields]

    def __init__(self, names: str = "", /, **others: Field | Fields) -> None:
        chosen = {name: Field() for name in names.split()} | others
        plain = {name: field for name, field in chosen.items() if isinstance(field, Field)}
        fields = {name: dataclasses.replace(f, of=f.of or name) for name, f in plain.items()}
        inner = {name: field for name, field in chosen.items() if isinstance(field, Fields)}
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "inner", inner)


def described_by(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Marks a verb whose options the library describes.

    Args:
        names: classes and functions of the library that have parameters or fields of the same
            names, as `workflows.uq.measure_uncertainty`; the first that describes one counts.
    """

    def mark(verb: Callable[..., None]) -> Callable[..., None]:
        verb.described_by = names  # pyright: ignore[reportFunctionMemberAccess]
        return verb

    return mark


@cache
def parameters_of(verb: Callable[..., None]) -> tuple[inspect.Parameter, ...]:
    """What Typer should see of a verb: its parameters but the session, groups field by field."""
    hints = typing.get_type_hints(verb, include_extras=True)
    found: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(verb).parameters.items():
        if name == "session":
            continue
        groups = [*_groups_in(hints[name])]
        if groups:
            found.extend(option for group in groups for option in _options_of(*group))
        else:
            found.append(_option(name, hints[name], parameter.default))
    return tuple(found)


def groups_of(verb: Callable[..., None]) -> list[tuple[Any, Mapping[str, Field]]]:
    """The groups among a verb's parameters: each class, and its fields by the option's name."""
    hints = typing.get_type_hints(verb, include_extras=True)
    return [group for name in hints if name != "session" for group in _groups_in(hints[name])]


def grouped(
    verb: Callable[..., None], values: Mapping[str, Any], common: Mapping[str, Any]
) -> dict[str, Any]:
    """What the verb takes, of the values of all its options.

    Args:
        verb: whose they are.
        values: by parameter.
        common: those of the options that all verbs have.

    Raises:
        InputError: a configuration refuses a value.
    """
    hints = typing.get_type_hints(verb, include_extras=True)
    taken = dict(values)
    for name in inspect.signature(verb).parameters:
        config, marks = _unmarked(hints[name])
        field = next((mark for mark in marks if isinstance(mark, Field)), Field())
        if name != "session" and dataclasses.is_dataclass(config):
            taken[name] = _made(config, _chosen(config, marks), taken, common)
        elif field.parse is not None and taken[name] is not None:
            taken[name] = field.parse(taken[name])
    return taken


def _made(config: Any, chosen: Fields, taken: dict[str, Any], common: Mapping[str, Any]) -> Any:
    """A configuration of the values of its options, which are no longer among `taken`."""
    own: dict[str, Any] = {}
    for name, field in chosen.fields.items():
        value = common[name] if name in OF_SESSION else taken.pop(name)
        if value is None and _default(config, field.of) is not None:
            continue  # nothing was given where the field is not None by itself
        if value is not None and field.parse is not None:
            value = field.parse(value)
        own[field.of] = tuple(value) if isinstance(value, list) else value
    for name, inner in chosen.inner.items():
        own[name] = _made(_unmarked(_hints(config)[name])[0], inner, taken, common)
    return config(**own)


def _groups_in(hint: Any) -> Iterator[tuple[Any, Mapping[str, Field]]]:
    """The group that a parameter is, and those inside it; none of a plain one."""
    config, marks = _unmarked(hint)
    if dataclasses.is_dataclass(config):
        chosen = _chosen(config, marks)
        yield config, chosen.fields
        for name, inner in chosen.inner.items():
            yield from _groups_in(_marked(_unmarked(_hints(config)[name])[0], inner))


def _chosen(config: Any, marks: tuple[Any, ...]) -> Fields:
    every = " ".join(field.name for field in dataclasses.fields(config))
    return next((mark for mark in marks if isinstance(mark, Fields)), Fields(every))


def _options_of(config: Any, chosen: Mapping[str, Field]) -> Iterator[inspect.Parameter]:
    for name, field in chosen.items():
        if name not in OF_SESSION:
            default = _default(config, field.of) if field.default is ... else field.default
            yield _option(name, _hints(config)[field.of], default, field)


def _default(config: Any, name: str) -> Any:
    """A field's default; that of a field that must be given is Typer's word for none."""
    (field,) = (field for field in dataclasses.fields(config) if field.name == name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    required = field.default is dataclasses.MISSING
    return inspect.Parameter.empty if required else field.default


def _option(name: str, hint: Any, default: Any, field: Field | None = None) -> inspect.Parameter:
    """A parameter that Typer can read: an option where nothing says that it is an argument.

    Args:
        name: of the parameter.
        hint: its type, which may be marked with a `Field`, with `Bounds`, or with Typer's own.
        default: its default.
        field: what is said of it elsewhere than in its type.
    """
    plain, marks = _unmarked(hint)
    field = field or next((mark for mark in marks if isinstance(mark, Field)), Field())
    kind = inspect.Parameter.KEYWORD_ONLY
    if any(isinstance(mark, ParameterInfo) for mark in marks):
        return inspect.Parameter(name, kind, default=default, annotation=hint)
    if field.several:
        plain, default = list[str] | None, None
    elif field.parse is not None:  # what is typed is text, which has no bounds
        marks = ()
        plain, default = (str | None, None) if default is None else (str, field.show(default))
    elif repeated := _repeated(plain):
        plain, default = cast(Any, list)[repeated] | None, None
    bounds = next((mark for mark in reversed(marks) if isinstance(mark, Bounds)), Bounds())
    said: dict[str, Any] = {
        "min": bounds.low if field.low is None else field.low, "max": bounds.high,
        "metavar": field.metavar, "help": field.help,
    }  # fmt: skip
    flags = field.flags.split() or FLAGS.get(name, (f"--{name.replace('_', '-')}",))
    info = typer.Argument(**said) if field.argument else typer.Option(*flags, **said)
    return inspect.Parameter(name, kind, default=default, annotation=_marked(plain, info))


@cache
def _hints(config: Any) -> dict[str, Any]:
    return typing.get_type_hints(config, include_extras=True)


def _marked(plain: Any, mark: object) -> Any:
    return cast(Any, Annotated)[plain, mark]


def _unmarked(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type, and what it is annotated with."""
    if typing.get_origin(hint) is not Annotated:
        return hint, ()
    plain, *marks = typing.get_args(hint)
    return plain, tuple(marks)


def _repeated(hint: Any) -> Any:
    """Of a tuple of any length what it holds: such an option may be given again and again."""
    plain = _unmarked(hint)[0]
    for kind in (plain, *typing.get_args(plain)):  # of a union also its members
        if typing.get_origin(kind) is tuple and typing.get_args(kind)[1:] == (...,):
            return typing.get_args(kind)[0]
    return None
