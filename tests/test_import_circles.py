"""Import circles: none in the packages, not even between imports for type checkers alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("transplant", "registry", "commands")


def name_of(path: Path, root: Path) -> str:
    """The dotted name of a module or a package."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, name: str, known: set[str]) -> Iterator[str]:
    """The known modules that a file imports: at its top, in functions, for type checkers."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            inside = [f"{base}.{alias.name}" for alias in node.names]
            names = [one if one in known else base for one in inside]
        else:
            continue
        for one in names:
            if one in known and one != name:
                yield one
            # A package's own file runs before what is in it, unless its import is under way.
            while one := one.rpartition(".")[0]:
                if one in known and not f"{name}.".startswith(f"{one}."):
                    yield one


def graph_of(root: Path, packages: tuple[str, ...] = PACKAGES) -> dict[str, set[str]]:
    """By module, the modules that it imports."""
    files = {name_of(path, root): path for each in packages for path in (root / each).rglob("*.py")}
    return {name: {*imported(path, name, {*files})} for name, path in files.items()}


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """One circle, its first module again at its end; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = graph_of(ROOT)
    assert all(f"{package}.__init__" not in graph and package in graph for package in PACKAGES)
    assert sum(map(len, graph.values())) > len(graph) > 300  # it has read the imports
    assert circle_in(graph) == []


@pytest.mark.parametrize(
    "back",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from planted.a import A\n",
        "def late():\n    import planted.a\n",
        "from . import a\n",
        "from .a import A\n",
    ],
    ids=["types", "function", "relative", "relative-name"],
)
def test_a_planted_circle_is_found(tmp_path: Path, back: str) -> None:
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "__init__.py").write_text("")
    (planted / "a.py").write_text("from planted.b import B\nA = B\n")
    (planted / "b.py").write_text(f"B = int\n{back}")
    (planted / "c.py").write_text("from planted import a, b\n")
    assert {*circle_in(graph_of(tmp_path, ("planted",)))} == {"planted.a", "planted.b"}
    (planted / "b.py").write_text("B = int\n")
    assert circle_in(graph_of(tmp_path, ("planted",))) == []


def test_a_circle_by_way_of_a_package_is_found(tmp_path: Path) -> None:
    for package, line in {"one": "from two.inner import X\n", "two": ""}.items():
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(line)
        (tmp_path / package / "inner.py").write_text("X = 1\n")
    assert circle_in(graph_of(tmp_path, ("one", "two"))) == []
    (tmp_path / "two" / "inner.py").write_text("import one.inner\nX = 1\n")
    assert {"one", "two.inner"} == {*circle_in(graph_of(tmp_path, ("one", "two")))}
