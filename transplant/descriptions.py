"""Descriptions of parameters and fields, read from source: nothing is imported for them.

A function has them in the section `Args` of its docstring, a class in the line under each field or
in that section.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transplant.options import groups_of

_ENTRY = re.compile(r"\n {4}(\w+):((?: .*)?(?:\n {8,}.*)*)")
_NONE = re.compile(r"\bNone(?: for|:) ")  # as a value it cannot be typed


def descriptions_of(function: Callable[..., None]) -> dict[str, str]:
    """The description of each option of a function, by parameter, where there is one.

    What its own docstring says counts before what `described_by` names, and the fields of its
    groups.

    Raises:
        LookupError: `described_by` names what is not there.
    """
    found: dict[str, str] = {}
    for name in reversed(getattr(function, "described_by", ())):
        module, _, own = f"transplant.{name}".rpartition(".")
        found |= descriptions_in(module, own)
    for config, chosen in groups_of(function):
        said: dict[str, str] = {}
        for base in reversed(inspect.getmro(config)[:-1]):
            said |= descriptions_in(base.__module__, base.__name__)
        found |= {own: said[field.of] for own, field in chosen.items() if field.of in said}
    return found | args_of(inspect.getdoc(function) or "")


@cache
def descriptions_in(module: str, name: str) -> Mapping[str, str]:
    """The descriptions inside one class or function of a module.

    Args:
        module: its full name.
        name: of the class or function.
    """
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return args_of(ast.get_docstring(node) or "") | _lines_under_fields(node)
    raise LookupError(f"{module} has no {name}")


def args_of(docstring: str) -> dict[str, str]:
    """The entries of the section `Args`, by parameter."""
    _, _, section = docstring.partition("\nArgs:")
    section = re.split(r"\n(?=\S)", section)[0]
    return {name: _sentence(text) for name, text in _ENTRY.findall(section)}


def _lines_under_fields(node: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            said = below.value if isinstance(below, ast.Expr) else None
            if isinstance(said, ast.Constant) and isinstance(said.value, str):
                found[field.target.id] = _sentence(said.value)
    return found


def _sentence(text: str) -> str:
    """A description as it stands in a help: one line that begins and ends as a sentence does.

    A value in backquotes at its beginning is typed as it is.
    """
    words = _NONE.sub("default: ", " ".join(text.split())).replace(". default:", ". Default:")
    return words[:1].upper() + words[1:].rstrip(".") + "." if words else ""
