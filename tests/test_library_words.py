"""The library names its parameters and its calls; flags and commands are the command line's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.options.groups import parameters_of
from commands.verb_table import VERBS, find_verb

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


OF_FILES = {"transplant/activations/layout.py", "transplant/studio/pages/generation.py"}
"""What these refuse is a field of a file or of a form, and no parameter."""


def bare_names(source: str, names: set[str]) -> Iterator[tuple[int, str]]:
    """Line and text of each `InputError` about a parameter that does not quote its name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "InputError" and node.args:
            what = node.args[0]
            words = what.value.split() if isinstance(what, ast.Constant) else []
            if {w for w in words if "_" in w or len(words) == 1} & names:
                yield node.lineno, " ".join(words)


def test_an_error_about_a_parameter_quotes_its_name():
    """Else the command line cannot tell which flag was typed."""
    names = {one.name for named in VERBS.values() for verb in named
             for one in parameters_of(find_verb(verb))}  # fmt: skip
    paths = [path.relative_to(ROOT) for path in (ROOT / "transplant").rglob("*.py")]
    found = [
        f"{path}:{line}: {text}"
        for path in paths
        if str(path) not in OF_FILES
        for line, text in bare_names((ROOT / path).read_text("utf-8"), names)
    ]
    assert not found
    for bare in ("method", "taps must differ", "max_chars is too small"):
        noticed = [*bare_names(f"raise InputError({bare!r})", {"method", "max_chars"})]
        assert len(noticed) == (bare != "taps must differ")
    assert not [*bare_names("raise InputError('`method`')", {"method"})]


def pointed_at(source: str) -> Iterator[str]:
    """Each name that a docstring tells its reader to see."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield from re.findall(r"\bsee\s+`([\w.]+)`", str(node.value.value))


def names_in(package: Path) -> dict[str, set[str]]:
    """By module, package and class below a folder, what is defined in it; "" has them all."""
    found: dict[str, set[str]] = {"": set()}
    for path in package.rglob("*.py"):
        module = path.parent.name if path.stem == "__init__" else path.stem
        found.setdefault(path.parent.name, set()).add(module)
        for owner in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(owner, ast.Module | ast.ClassDef):
                own = found.setdefault(getattr(owner, "name", module), set())
                for node in owner.body:
                    if isinstance(node, ast.ClassDef | ast.FunctionDef):
                        own.add(node.name)
                    elif isinstance(node, ast.Assign | ast.AnnAssign):
                        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                        own |= {target.id for target in targets if isinstance(target, ast.Name)}
    found[""] = {*found}.union(*found.values())
    return found


def is_there(name: str, known: dict[str, set[str]]) -> bool:
    """Whether the last part of a name is defined in what the part before it names."""
    *before, last = name.removeprefix("transplant.").split(".")
    if before[:1] in (["torch"], ["transformers"]):
        return True
    return last in known.get(before[-1] if before else "", ())


@pytest.mark.parametrize("package", ["transplant", "registry"])
def test_what_a_docstring_says_to_see_is_there(package: str) -> None:
    known = names_in(ROOT / "transplant")
    for owner, names in names_in(ROOT / package).items():
        known[owner] = known.get(owner, set()) | names
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in pointed_at(path.read_text("utf-8"))
        if not is_there(name, known)
    ]
    assert not found


def test_a_name_that_is_not_there_is_noticed() -> None:
    source = '"""Maps, see `output_map.map_outputs`, and see\n`wanted.map_outputs`; not `this`."""'
    assert [*pointed_at(source)] == ["output_map.map_outputs", "wanted.map_outputs"]
    known = names_in(ROOT / "transplant")
    assert [is_there(name, known) for name in pointed_at(source)] == [True, False]
    assert is_there("map_outputs", known)
    assert not is_there("map_no_outputs", known)
