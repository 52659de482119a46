"""Options of a job: the parameters of a function, those that are a group field by field.

A group is a frozen dataclass, as the configurations and jobs of the library are; `Fields` names the
fields that are options. Name, type, default and bounds are those of the field;
`transplant.descriptions` finds what is said of it. A command line and a form make their options of
what `options_of` gives; `grouped` makes the function's arguments of what was given for them.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, cast

from transplant.validation import Bounds

OF_SESSION = ("seed",)
"""Fields that take the value of an option that all functions have."""
RUN_IN = "session"
"""The parameter that is what a function runs in, and no option."""
REQUIRED = inspect.Parameter.empty
"""The default of an option that must be given."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """What an option has that the field or the parameter does not say by itself."""

    of: str = ""
    """The field's name; none where the option has the same."""
    default: Any = ...
    """The default, where this verb has another one than the field."""
    low: float | None = None
    """The least value, where this verb has another one than the field."""
    spelled: str = ""
    """How it is written, several between blanks, where its name does not say so."""
    metavar: str | None = None
    """What stands for the value where it is described; None for its type."""
    help: str | None = None
    """What is said of it, where the library does not say it."""
    argument: bool = False
    """Whether its place says which one it is, and not its name."""
    parse: Callable[[Any], Any] | None = None
    """From text to the field's value; None where its type says how."""
    several: bool = False
    """Whether it may be given again and again: `parse` takes a list, then."""
    show: Callable[[Any], str] = str
    """The default as it is typed, where there is a `parse`."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option as it is given: text where the field has a parser, several as a list."""

    name: str
    """Its name, a parameter of Python."""
    kind: Any
    """The type of what is given."""
    default: Any
    """What counts where nothing is given, as it would be given; or `REQUIRED`."""
    field: Field
    """What is said of it beside its type."""
    bounds: Bounds
    """The least and the largest value."""


@dataclass(frozen=True, init=False)
class Fields:
    """Which fields of a configuration are options of a verb; the others keep their defaults.

    The options stand in the order of the fields: one that is said in terms of another behind it.

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
            names, as `evidence.uq.measure_uncertainty`; the first that describes one counts.
    """

    def mark(verb: Callable[..., None]) -> Callable[..., None]:
        verb.described_by = names  # pyright: ignore[reportFunctionMemberAccess]
        return verb

    return mark


@cache
def options_of(verb: Callable[..., None]) -> tuple[Option, ...]:
    """The options of a verb: its parameters but the session, groups field by field."""
    hints = typing.get_type_hints(verb, include_extras=True)
    found: list[Option] = []
    for name, parameter in inspect.signature(verb).parameters.items():
        if name == RUN_IN:
            continue
        groups = [*_groups_in(hints[name])]
        if groups:
            found.extend(option for group in groups for option in _fields_as_options(*group))
        else:
            found.append(_option(name, hints[name], parameter.default))
    return tuple(found)


def groups_of(verb: Callable[..., None]) -> list[tuple[Any, Mapping[str, Field]]]:
    """The groups among a verb's parameters: each class, and its fields by the option's name."""
    hints = typing.get_type_hints(verb, include_extras=True)
    return [group for name in hints if name != RUN_IN for group in _groups_in(hints[name])]


def grouped(
    verb: Callable[..., None], values: Mapping[str, Any], common: Mapping[str, Any]
) -> dict[str, Any]:
    """What the verb takes, of the values of all its options.

    Args:
        verb: whose they are.
        values: by parameter.
        common: those of the options that all verbs have, as `seed`.

    Raises:
        InputError: a configuration refuses a value.
    """
    hints = typing.get_type_hints(verb, include_extras=True)
    taken = dict(values)
    for name in inspect.signature(verb).parameters:
        config, marks = _unmarked(hints[name])
        field = next((mark for mark in marks if isinstance(mark, Field)), Field())
        if name != RUN_IN and dataclasses.is_dataclass(config):
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


def _fields_as_options(config: Any, chosen: Mapping[str, Field]) -> Iterator[Option]:
    order = [field.name for field in dataclasses.fields(config)]
    for name, field in sorted(chosen.items(), key=lambda item: order.index(item[1].of)):
        if name not in OF_SESSION:
            default = _default(config, field.of) if field.default is ... else field.default
            yield _option(name, _hints(config)[field.of], default, field)


def _default(config: Any, name: str) -> Any:
    """A field's default; `REQUIRED` of one that must be given."""
    (field,) = (field for field in dataclasses.fields(config) if field.name == name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    required = field.default is dataclasses.MISSING
    return REQUIRED if required else field.default


def _option(name: str, hint: Any, default: Any, field: Field | None = None) -> Option:
    """An option of a parameter or a field.

    Args:
        name: of the parameter.
        hint: its type, which may be marked with a `Field` and with `Bounds`.
        default: its default.
        field: what is said of it elsewhere than in its type.
    """
    kind, marks = _unmarked(hint)
    field = field or next((mark for mark in marks if isinstance(mark, Field)), Field())
    bounds = next((mark for mark in reversed(marks) if isinstance(mark, Bounds)), Bounds())
    if field.several:
        kind, default = list[str] | None, None
    elif field.parse is not None:  # what is given is text, which has no bounds
        bounds = Bounds()
        kind, default = (str | None, None) if default is None else (str, field.show(default))
    elif repeated := _repeated(kind):
        kind, default = cast(Any, list)[repeated] | None, None
    if field.low is not None:
        bounds = dataclasses.replace(bounds, low=field.low)
    return Option(name=name, kind=kind, default=default, field=field, bounds=bounds)


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
