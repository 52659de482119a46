"""Every option of every verb is typed by a test: its flag stands in a file that names the verb.

So much is read from the source of the tests; that an option does something is for those to show.
"""

from __future__ import annotations

import ast
from functools import cache, lru_cache
from pathlib import Path
from typing import get_args

import pytest
from typer.models import OptionInfo

from commands.errors import long_names
from commands.options.groups import parameters_of
from commands.session import shared_options
from commands.verb_table import VERBS, find_verb

TESTS = Path(__file__).parents[1]
OWN = Path(__file__).name
NAMES = [name for names in VERBS.values() for name in names]
UNTYPED: frozenset[tuple[str, str]] = frozenset()
"""Verb and flag of what no test types, each with its reason."""


@lru_cache(maxsize=1)  # both readers of a file follow one another
def nodes_of(source: str) -> list[ast.AST]:
    return [*ast.walk(ast.parse(source))]


def words_of(source: str) -> set[str]:
    """Names in a file, and the words of its texts but docstrings; of `--flag=VALUE` the flag."""
    nodes = nodes_of(source)
    said = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    texts = [
        node.value for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said
    ]  # fmt: skip
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names |= {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {word.partition("=")[0] for text in texts for word in text.split()}


def helpers_of(source: str) -> list[Path]:
    """The files that a test imports to run verbs, as `tests.commands.core_runs`."""
    imports = (node for node in nodes_of(source) if isinstance(node, ast.ImportFrom))
    named = [(node.module or "").split(".") for node in imports]
    inside = (Path(*parts[1:]) for parts in named if parts[0] == "tests" and len(parts) > 1)
    return [
        TESTS / path.with_suffix(".py") for path in inside
        if path.parts[0] != "benchmarks" and not path.name.startswith("test_")
    ]  # fmt: skip


@cache
def files() -> list[set[str]]:
    """The words of each file of tests and of its helpers; those that measure are not among them."""
    read = cache(lambda path: words_of(path.read_text()))
    found = (path for path in TESTS.rglob("test_*.py") if "benchmarks" not in path.parts)
    return [
        read(path).union(*map(read, helpers_of(path.read_text())))
        for path in found
        if path.name != OWN
    ]


def flags_of(verb: str) -> list[set[str]]:
    """The flags of each option that a verb has for itself, several of one option together."""
    of_verb = parameters_of(find_verb(verb))
    options = (one for one in of_verb if isinstance(get_args(one.annotation)[1], OptionInfo))
    plain = ((long_names(one), f"--{one.name.replace('_', '-')}") for one in options)
    return [{flag for name in names or [own] for flag in name.split("/")} for names, own in plain]


@pytest.mark.parametrize("verb", NAMES)
def test_a_test_types_each_option_of_a_verb(verb):
    own = verb.replace("-", "_")  # as a helper of the tests is called
    typed = set().union(*(words for words in files() if {*verb.split()} <= words or own in words))
    missing = {min(flags) for flags in flags_of(verb) if not flags & typed}
    assert missing == {flag for name, flag in UNTYPED if name == verb}


def test_a_test_types_each_option_that_verbs_share():
    shared = {flag for name in NAMES for flag in map(flag_of, shared_options(name))}
    assert shared <= set().union(*files())


def flag_of(name: str) -> str:
    return {"as_json": "--json"}.get(name, f"--{name.replace('_', '-')}")


def test_a_flag_in_a_docstring_or_beside_another_verb_counts_for_nothing():
    assert "--bins" not in words_of('"""Of `--bins`."""\nrun("uq")')
    assert {"--bins", "uq"} <= words_of('run("uq --bins=3")')
    assert {"--shots"} in flags_of("eval")
    assert {"--controls", "--no-controls"} in flags_of("fuse")
