"""Messages of the library in flags and in commands to type.

The library names parameters and calls in backquotes: `learning_rate`, `window=512`,
`capture(data='prose', out='FILE')`. Here they become --learning-rate, --window 512 and
abi capture --data prose --out FILE.
"""

from __future__ import annotations

import ast
import copy
import inspect
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast, get_args

from commands.options.groups import parameters_of
from commands.verb_table import VERBS, find_verb, typed_name
from transplant.errors import TransplantError, first_line


def version_of_abi() -> str:
    """The version that is installed."""
    from importlib import metadata

    try:
        return metadata.version("abi-transplant")
    except metadata.PackageNotFoundError:
        return "of unknown version"


class FaultError(TransplantError):
    """Something that abi did not expect, and should have: the cause is another's class."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(
            f"this is a fault of abi {version_of_abi()}, please report it",
            found=first_line(cause),
            hint="the same command with --debug shows where",
        )


_QUOTED = re.compile(r"`([^`]+)`")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE = "_options"  # a name for options that stand alone, of the verb that is running
OTHER_NAMES = {
    "activations": "--from-activations",
    "device": "--device",
    "device_map": "--device-map",
    "dtype": "--dtype",
    "learning_rate": "--learning-rate",
    "max_memory": "--max-memory",
    "modules": "--module",
    "objectives": "--only",
    "offload_folder": "--offload-folder",
    "pair_on": "--pair-data",
    "registry": "--registry",
    "revision": "--revision",
    "seed": "--seed",
    "skip_bad": "--skip-bad",
    "shapes": "--only",
    "source": "--from",
    "students": "--students",
    "train_tokens": "--tokens",
}
"""Flags of parameters that the command line calls otherwise, where the verb does not say so."""


def flags_of(verb: Callable[..., None]) -> dict[str, str]:
    """The flag of each parameter of a verb; of `parameter=False`, where that is another one."""
    found: dict[str, str] = {}
    for parameter in parameters_of(verb):
        on, _, off = _flag(parameter).partition("/")
        found[parameter.name] = on
        if off:
            found[f"{parameter.name}=False"] = off
    return found


def command(
    verb: str,
    options: Mapping[str, object],
    *,
    before: Iterable[str] = (),
    after: Iterable[str] = (),
) -> str:
    """A verb as it is typed, with its own flags.

    Args:
        verb: as the library calls it, such as `train_core`.
        options: their values, by parameter.
        before: arguments without a flag, ahead of the options.
        after: those behind them.
    """
    own = typed_name(verb)
    flagged = _flagged(options, _flags_named(own))
    return " ".join(["abi", own, *map(shlex.quote, before), *flagged, *map(shlex.quote, after)])


def in_flags(error: TransplantError, flags: Mapping[str, str]) -> TransplantError:
    """The same error, with flags and commands in place of parameters and calls.

    Args:
        error: as the library has raised it.
        flags: those of the verb that is running, by parameter.
    """
    said = copy.copy(error)
    for field in ("what", "expected", "found", "hint"):
        value = getattr(error, field)
        setattr(said, field, typed_as(value, flags) if isinstance(value, str) else value)
    said.args = (str(said.line()),)
    return said


def typed_as(text: str, flags: Mapping[str, str]) -> str:
    """Text of the library, with flags and commands in place of parameters and calls."""
    return _QUOTED.sub(lambda found: _typed(found[1], flags) or found[0], text)


def _typed(quoted: str, flags: Mapping[str, str]) -> str | None:
    """A parameter as a flag, a call as a command; None for other code."""
    if _WORD.fullmatch(quoted):
        return flags.get(quoted) or OTHER_NAMES.get(quoted)
    call = _call(quoted) or _call(f"{_BARE}({quoted})")
    if call is None:
        return None
    values = [value.value for value in call.args if isinstance(value, ast.Constant)]
    options = {
        keyword.arg: keyword.value.value
        for keyword in call.keywords
        if keyword.arg and isinstance(keyword.value, ast.Constant)
    }
    if len(values) + len(options) < len(call.args) + len(call.keywords):
        return None
    verb = cast(ast.Name, call.func).id
    if verb == _BARE:
        return None if values else " ".join(_flagged(options, flags))
    return command(verb, options, before=[_word(value) for value in values])


def _word(value: object) -> str:
    return "..." if value is ... else str(value)


def _call(text: str) -> ast.Call | None:
    try:
        found = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None
    return found if isinstance(found, ast.Call) and isinstance(found.func, ast.Name) else None


def _flagged(options: Mapping[str, object], flags: Mapping[str, str]) -> list[str]:
    words = []
    for name, given in options.items():
        on = flags.get(name) or OTHER_NAMES.get(name) or _dashed(name)
        if given is True:
            words.append(on)
        elif given is False:
            words.append(flags.get(f"{name}=False") or f"--no-{on[2:]}")
        else:
            each = given if isinstance(given, list | tuple) else [given]
            words += [f"{on} {shlex.quote(_word(one))}" for one in each]
    return words


def _flags_named(verb: str) -> dict[str, str]:
    """The flags of a verb, by its name on the command line; none for a verb that is not there."""
    known = any(verb in names for names in VERBS.values())
    return flags_of(find_verb(verb)) if known else {}


def _flag(parameter: inspect.Parameter) -> str:
    return next(iter(long_names(parameter)), _dashed(parameter.name))


def long_names(parameter: inspect.Parameter) -> list[str]:
    """The long flags that a parameter declares, the one that counts first; none of a plain one."""
    for option in get_args(parameter.annotation)[1:]:
        # Typer keeps the first name of an annotated option in the place of its default.
        declared: tuple[Any, ...] = (
            getattr(option, "default", None), *(getattr(option, "param_decls", None) or ()),
        )  # fmt: skip
        long = [n for n in declared if isinstance(n, str) and n.startswith("--")]
        if long:
            return long
    return []


def _dashed(name: str) -> str:
    return "--" + name.strip("_").replace("_", "-")
