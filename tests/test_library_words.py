"""The library names its parameters and its calls; flags and commands are the command line's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TYPED = re.compile(r"(^|[^-\w])--[a-z]|\babi [a-z]")


def typed_words(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each string literal that names a flag or a command; docstrings may."""
    tree = ast.parse(source)
    passed = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):  # from the outside in: an f-string before its parts
        if id(node) in passed:
            continue
        if isinstance(node, ast.JoinedStr):
            passed |= {id(part) for part in node.values}
            parts = (part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
            text = "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if TYPED.search(text):
            yield node.lineno, text


@pytest.mark.parametrize("package", ["transplant", "registry"])
def test_no_string_of_the_library_names_a_flag_or_a_command(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, text in typed_words(path.read_text("utf-8"))
    ]
    assert not found


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('hint = "another --out"', 1),
        ('hint = f"--window {length}"; next = f"abi {verb}"; other = f"--{flag}"', 3),
        ('raise InputError("--from")', 1),
        ('def say():\n    """What abi show says of --out."""', 0),
        ('hint = "another `out`; the two--fold a--b of abi"', 0),
    ],
)
def test_a_flag_or_a_command_in_a_string_is_noticed(source: str, count: int) -> None:
    assert len([*typed_words(source)]) == count
