"""Options of a step checked against the table of its verb: names, types and bounds, by pydantic."""

from __future__ import annotations

import difflib
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Union, cast, get_args, get_origin

from transplant.errors import InputError
from transplant.recipes.verbs import REQUIRED, Option
from transplant.values import without_unit

Where = Callable[[str], str]
"""The file and the line of a key as it is written."""


def named_options(
    given: Mapping[str, Any], options: Sequence[Option], what: str, where: Where
) -> dict[str, tuple[str, Any]]:
    """The key as it is written and the value of each parameter, of values by the file's keys.

    Raises:
        InputError: an option that the verb does not have, or one under two of its names.
    """
    known = {_spelling(word): option for option in options for word in _words(option)}
    found: dict[str, tuple[str, Any]] = {}
    for key, value in given.items():
        option = known.get(_spelling(key))
        if option is None:
            close = difflib.get_close_matches(_spelling(key), known, n=1, cutoff=0.0)
            raise InputError(
                f"{where(key)}: {what} has no option {key!r}",
                expected=f"such as {known[close[0]].spelled[0]!r}" if close else "no options",
            )
        if option.name in found:
            raise InputError(
                f"{where(key)}: {key!r} is given twice, under two of its names",
                expected=f"{option.spelled[0]!r} once",
            )
        if value is not None:  # `key:` alone says what leaving it out says
            found[option.name] = key, value
    return found


def checked_options(
    given: Mapping[str, Any], options: Sequence[Option], what: str, where: Where,
    later: frozenset[str] = frozenset(),
) -> dict[str, Any]:  # fmt: skip
    """The values with the types that their verb takes; those that were not given are left out.

    Args:
        given: by parameter.
        options: of the verb.
        what: the verb, for messages.
        where: of an option as it is spelled.
        later: parameters whose values are not known yet; they are not looked at.

    Raises:
        InputError: a wrong type, a number out of bounds, or an option that is missing.
    """
    from pydantic import ConfigDict, Field, ValidationError, create_model

    own = [option for option in options if option.name not in later]
    fields: dict[str, Any] = {}
    for option in own:
        default = ... if option.default is REQUIRED else option.default
        bounds = {"ge": option.least, "le": option.most}
        fields[f"o_{option.name}"] = (
            strict(option.type, {k: v for k, v in bounds.items() if v is not None}),
            Field(default, alias=option.name),
        )
    model = create_model(
        "Options", __config__=ConfigDict(extra="forbid", coerce_numbers_to_str=True), **fields
    )
    values = {o.name: _in_form(o, given[o.name]) for o in own if o.name in given}
    try:
        read = model(**values)
    except ValidationError as error:
        raise _named(error, {o.name: o for o in own}, what, where) from None
    return {name: getattr(read, f"o_{name}") for name in values}


def strict(hint: Any, bounds: Mapping[str, float]) -> Any:
    """An annotation under which text is no number, but for 200k, and a truth value neither."""
    from pydantic import BeforeValidator, Field, Strict

    if hint in (int, float):
        limits: dict[str, Any] = {**bounds, **({"allow_inf_nan": False} if hint is float else {})}
        units = (BeforeValidator(without_unit),) if hint is int else ()
        return cast(Any, Annotated)[(hint, *units, Strict(), Field(**limits))]
    if hint is bool:
        return Annotated[hint, Strict()]
    if hint is str:
        return Annotated[hint, BeforeValidator(_no_truth_value)]
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return Union[tuple(strict(one, bounds) for one in inside)]  # noqa: UP007 - built of parts
    if origin in (list, tuple):
        generic: Any = origin
        return generic[tuple(one if one is ... else strict(one, bounds) for one in inside)]
    return hint


def _no_truth_value(value: Any) -> Any:
    """Refuses `yes` and `no`, which YAML takes for truth values, where text is asked for."""
    if isinstance(value, bool):
        raise ValueError("a truth value")
    return value


def _in_form(option: Option, value: Any) -> Any:
    """A value as the option is typed: one for a list of one, NAME=PATH for a mapping."""
    if not option.is_list:
        return value
    if isinstance(value, Mapping):
        return [f"{name}={path}" for name, path in value.items()]
    return value if isinstance(value, list) else [value]


def _named(error: Any, options: Mapping[str, Option], what: str, where: Where) -> InputError:
    """The first fault of an error of pydantic."""
    fault = error.errors(include_url=False, include_context=False)[0]
    option = options[str(fault["loc"][0])]
    key = option.spelled[0]
    if fault["type"] == "missing":
        every = [o.spelled[0] for o in options.values() if o.default is REQUIRED]
        return InputError(
            f"{where('')}: {what} needs the option {key!r}", expected=", ".join(every)
        )
    return InputError(
        f"{where(key)}: {key!r} of {what}",
        expected=_expected(option, fault), found=f"{fault['input']!r}"[:80],
    )  # fmt: skip


_WORDS = {
    str: "text", Path: "a path", bool: "true or false", int: "an integer", float: "a number",
}  # fmt: skip


def _expected(option: Option, fault: Mapping[str, Any]) -> str:
    inside = [hint for hint in _leaves(option.type) if hint in _WORDS]
    words = " or ".join(dict.fromkeys(_WORDS[hint] for hint in inside)) or str(option.type)
    if option.is_list:
        words = f"{words}, or a list of such"
    bounds = [
        f"{word} {bound}"
        for word, bound in (("at least", option.least), ("at most", option.most))
        if bound is not None
    ]
    return f"{words}, {' and '.join(bounds)}" if "than" in str(fault["type"]) else words


def _leaves(hint: Any) -> list[Any]:
    inside = get_args(hint)
    return [leaf for one in inside for leaf in _leaves(one)] if inside else [hint]


def _words(option: Option) -> tuple[str, ...]:
    return (*option.spelled, option.name)


def _spelling(word: str) -> str:
    """One spelling for `learning-rate`, `learning_rate` and `--learning-rate`."""
    return word.strip("-_").replace("_", "-")
