"""The corpora that need no download, rebuilt from the Python packages that are installed.

`prose` is the docstrings of the packages in site-packages, `prose2` the comments of the same
packages; `python` is the source of the standard library without its docstrings. No text is in two
of them, and none is ever stored in the repository.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

MIN_DOCSTRING = 80  # characters: shorter ones are labels, not sentences
MIN_DOCUMENT = 400  # characters: enough for one pairing excerpt
SKIPPED = frozenset({"test", "tests", "site-packages", "__pycache__", "idlelib", "lib2to3"})
# Written by programs from one template: its siblings would stand on both sides of every split.
GENERATED = frozenset({"encodings", "pydoc_data"})
# Installed since the shipped results were measured: the corpora stay what they were without them.
LATER = frozenset({"certifi", "charset_normalizer", "gguf", "requests", "urllib3"})
WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def prose() -> Iterator[tuple[str, str]]:
    """Yields (path, text): the distinct docstrings of each installed module, joined."""
    seen: set[int] = set()
    for name, tree, _ in _parsed(Path(sysconfig.get_paths()["purelib"]), SKIPPED):
        parts = []
        for node in ast.walk(tree):
            text = ast.get_docstring(node) if isinstance(node, WITH_DOCSTRING) else None
            if text and len(text) >= MIN_DOCSTRING and hash(text) not in seen:
                seen.add(hash(text))
                parts.append(text)
        document = "\n\n".join(part for part in parts if _is_unicode(part))
        if len(document) >= MIN_DOCUMENT:
            yield name, document


def prose2() -> Iterator[tuple[str, str]]:
    """Yields (path, text): the distinct blocks of comments of each installed module, joined.

    What stands before the first statement is left out: a licence, nearly always.
    """
    seen: set[int] = set()
    for name, tree, source in _parsed(Path(sysconfig.get_paths()["purelib"]), SKIPPED):
        if not tree.body:
            continue
        parts = []
        for text in _comments(source.split("\n")[tree.body[0].lineno - 1 :]):
            if len(text) >= MIN_DOCSTRING and hash(text) not in seen:
                seen.add(hash(text))
                parts.append(text)
        document = "\n\n".join(parts)
        if len(document) >= MIN_DOCUMENT:
            yield name, document


def python() -> Iterator[tuple[str, str]]:
    """Yields (path, text): each module of the standard library with its docstrings cut out."""
    for name, tree, source in _parsed(Path(sysconfig.get_paths()["stdlib"]), SKIPPED | GENERATED):
        document = _without_docstrings(tree, source)
        if len(document) >= MIN_DOCUMENT:
            yield name, document


BUILTIN: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
    "prose": prose,
    "prose2": prose2,
    "python": python,
}


def _parsed(root: Path, skipped: frozenset[str]) -> Iterator[tuple[str, ast.Module, str]]:
    """Parses the modules under `root`, in the order of the hashes of their relative paths."""
    names = [path.relative_to(root) for path in root.rglob("*.py")]
    names = [
        name
        for name in names
        if not skipped.intersection(name.parts) and name.parts[0] not in LATER
    ]
    for name in sorted(names, key=lambda name: hashlib.sha256(str(name).encode()).digest()):
        try:
            source = (root / name).read_text(encoding="utf-8")
            with warnings.catch_warnings():  # other people's invalid escapes are not our news
                warnings.simplefilter("ignore")
                tree = ast.parse(source)
        except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):
            continue  # a template, another encoding, or deeper than the parser: no text for us
        yield str(name), tree, source


def _is_unicode(text: str) -> bool:
    """Whether it holds no half of a surrogate pair, which a literal may escape."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _comments(lines: Iterable[str]) -> Iterator[str]:
    """The text of each block of consecutive comment lines."""
    block: list[str] = []
    for line in [*lines, ""]:
        text = line.strip()
        if text.startswith("#"):
            block.append(text.lstrip("#").strip())
        elif block:
            yield "\n".join(block)
            block = []


def _without_docstrings(tree: ast.Module, source: str) -> str:
    lines = source.split("\n")  # as `ast` counts: `splitlines` would also cut at form feeds
    cut: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
            literal = node.body[0]
            assert literal.end_lineno is not None
            cut.update(range(literal.lineno - 1, literal.end_lineno))
    return "\n".join(line for number, line in enumerate(lines) if number not in cut)
