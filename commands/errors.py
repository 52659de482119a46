"""What the library says of its parameters, said in flags and in commands to type.

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
from collections.abc import Callable, Mapping
from typing import Any, get_args

from commands.options.groups import parameters_of
from transplant.errors import TransplantError, first_line


class FaultError(TransplantError):
    """Something that abi did not expect, and should have: the cause is another's class."""

    def __init__(self, cause: BaseException) -> None:
        from importlib import metadata

        try:
            version = metadata.version("abi-transplant")
        except metadata.PackageNotFoundError:
            version = "of unknown version"
        super().__init__(
            f"this is a fault of abi {version}, please report it",
            found=first_line(cause),
            hint="the same command with --debug shows where",
        )


_QUOTED = re.compile(r"`([^`]+)`")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OTHER_NAMES = {
    "activations": "--from-activations",
    "device": "--device",
    "pair_on": "--data",
    "registry": "--registry",
    "seed": "--seed",
    "source": "--from",
    "train_tokens": "--tokens",
}
"""Flags of parameters that the command line calls otherwise, where the verb does not say so."""


def flags_of(verb: Callable[..., None]) -> dict[str, str]:
    """The flag of each parameter of a verb."""
    return {parameter.name: _flag(parameter) for parameter in parameters_of(verb)}


def in_flags(error: TransplantError, flags: Mapping[str, str]) -> TransplantError:
    """The same error, with flags and commands in place of parameters and calls.

    Args:
        error: as the library has raised it.
        flags: those of the verb that is running, by parameter.
    """
    said = copy.copy(error)
    for field in ("what", "expected", "found", "hint"):
        value = getattr(error, field)
        setattr(said, field, _translate(value, flags) if isinstance(value, str) else value)
    said.args = (str(said.line()),)
    return said


def _translate(text: str, flags: Mapping[str, str]) -> str:
    return _QUOTED.sub(lambda found: _typed(found[1], flags) or found[0], text)


def _typed(quoted: str, flags: Mapping[str, str]) -> str | None:
    """A parameter as a flag, a call as a command; None for other code."""
    if _WORD.fullmatch(quoted):
        return flags.get(quoted) or OTHER_NAMES.get(quoted)
    try:
        call = ast.parse(f"abi({quoted})" if "(" not in quoted else quoted, mode="eval").body
    except SyntaxError:
        return None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return None
    bare = call.func.id == "abi"
    words = [] if bare else ["abi", call.func.id.strip("_").replace("_", "-")]
    for value in call.args:
        if bare or not isinstance(value, ast.Constant):
            return None
        words.append(shlex.quote(str(value.value)))
    known = flags if bare else {}
    for keyword in call.keywords:
        if keyword.arg is None or not isinstance(keyword.value, ast.Constant):
            return None
        flag = known.get(keyword.arg) or OTHER_NAMES.get(keyword.arg) or _dashed(keyword.arg)
        given = keyword.value.value
        words.append(flag if given is True else f"{flag} {shlex.quote(str(given))}")
    return " ".join(words)


def _flag(parameter: inspect.Parameter) -> str:
    for option in get_args(parameter.annotation)[1:]:
        # Typer keeps the first name of an annotated option in the place of its default.
        declared: tuple[Any, ...] = (
            getattr(option, "default", None), *(getattr(option, "param_decls", None) or ()),
        )  # fmt: skip
        long = [n.split("/")[0] for n in declared if isinstance(n, str) and n.startswith("--")]
        if long:
            return long[0]
    return _dashed(parameter.name)


def _dashed(name: str) -> str:
    return "--" + name.strip("_").replace("_", "-")
