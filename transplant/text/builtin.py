"""The corpora that need no download, rebuilt from the Python packages that are installed.

`prose` is the docstrings of the packages in site-packages, `prose2` the comments of the same
packages; `python` is the source of the standard library without its docstrings. No text is in two
of these. `python-packages` is the source of the packages in site-packages without docstrings (it
has the comments of `prose2`): a document is a package, so that whole packages are held out. No text
is ever stored in the repository.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from itertools import islice
from pathlib import Path

from transplant.progress import Progress, unseen
from transplant.text.cache import YOUNG_S, code_version, digest_of

MIN_DOCSTRING = 80  # characters: shorter ones are labels, not sentences
MIN_DOCUMENT = 400  # characters: enough for one pairing excerpt
SKIPPED = frozenset({"test", "tests", "site-packages", "__pycache__", "idlelib", "lib2to3"})
# Written by programs from one template: its siblings would stand on both sides of every split.
GENERATED = frozenset({"encodings", "pydoc_data"})
# Installed since the shipped results were measured: the corpora stay what they were without them.
LATER = frozenset({"certifi", "charset_normalizer", "gguf", "requests", "urllib3"})
# Copies of other packages, which would stand on both sides of a split by package, and of the
# standard library's: `multiprocess` is its multiprocessing, of which `python` holds modules out.
VENDORED = frozenset(
    {"_vendor", "_vendored", "vendor", "vendored", "externals", "_distutils", "extern"}
    | {"multiprocess"}
)
MODULES_A_PACKAGE = 20  # so that the largest ones are not most of the corpus
WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def prose(progress: Progress = unseen) -> Iterator[tuple[str, str]]:
    """Yields (path, text): the distinct docstrings of each installed module, joined."""
    seen: set[int] = set()
    for name, tree, _ in _parsed(*_place("prose"), progress):
        parts = []
        for node in ast.walk(tree):
            text = ast.get_docstring(node) if isinstance(node, WITH_DOCSTRING) else None
            if text and len(text) >= MIN_DOCSTRING and hash(text) not in seen:
                seen.add(hash(text))
                parts.append(text)
        document = "\n\n".join(part for part in parts if _is_unicode(part))
        if len(document) >= MIN_DOCUMENT:
            yield name, document


def prose2(progress: Progress = unseen) -> Iterator[tuple[str, str]]:
    """Yields (path, text): the distinct blocks of comments of each installed module, joined.

    What stands before the first statement is left out: a licence, nearly always.
    """
    seen: set[int] = set()
    for name, tree, source in _parsed(*_place("prose2"), progress):
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


def python(progress: Progress = unseen) -> Iterator[tuple[str, str]]:
    """Yields (path, text): each module of the standard library with its docstrings cut out."""
    yield from source_of(*_place("python"), progress)


def python_packages(progress: Progress = unseen) -> Iterator[tuple[str, str]]:
    """Yields (package, text): of each installed package up to `MODULES_A_PACKAGE` modules.

    Their docstrings are cut out. What one wheel has installed is one package.
    """
    yield from packages_of(*_place("python-packages"), progress)


def packages_of(
    root: Path, skipped: frozenset[str] = SKIPPED | VENDORED, progress: Progress = unseen
) -> Iterator[tuple[str, str]]:
    """Yields (package, text): each package below a folder as one document, as `python_packages`.

    Args:
        root: where packages are installed.
        skipped: folders that are passed over.
        progress: called for each package.
    """
    owners, modules = _distributions(root), dict[str, list[Path]]()
    for path in _modules(root, skipped, later=frozenset()):
        top = path.parts[0].removesuffix(".py")
        modules.setdefault(owners.get(top, top), []).append(path)
    for number, name in enumerate(sorted(modules, key=_hash)):
        progress(number, len(modules), "")
        document = "\n\n".join(_sources(root, modules[name]))
        if len(document) >= MIN_DOCUMENT:
            yield name, document


def _sources(root: Path, paths: list[Path]) -> Iterator[str]:
    """The first modules of a package that have source besides docstrings."""
    found = (_without_docstrings(tree, text) for _, tree, text in _parse_all(root, paths))
    yield from islice((text for text in found if text.strip()), MODULES_A_PACKAGE)


def _distributions(root: Path) -> dict[str, str]:
    """Which distribution has installed what stands in a folder; of a shared name the first."""
    owners: dict[str, str] = {}
    found = metadata.distributions(path=[str(root)])
    for one in sorted(found, key=lambda one: str(one.name)):
        for file in one.files or ():
            if file.suffix == ".py":
                owners.setdefault(file.parts[0].removesuffix(".py"), str(one.name))
    return owners


def source_of(
    folder: Path, skipped: frozenset[str] = SKIPPED, progress: Progress = unseen
) -> Iterator[tuple[str, str]]:
    """Yields (path, text): each Python module below a folder with its docstrings cut out.

    Args:
        folder: where to look.
        skipped: folders that are passed over.
        progress: called for each module.
    """
    for name, tree, source in _parsed(folder, skipped, progress):
        document = _without_docstrings(tree, source)
        if len(document) >= MIN_DOCUMENT:
            yield name, document


BUILTIN: dict[str, Callable[[Progress], Iterator[tuple[str, str]]]] = {
    "prose": prose,
    "prose2": prose2,
    "python": python,
    "python-packages": python_packages,
}


def installed_state(name: str) -> str | None:
    """One hash of what a built-in corpus would be read from now, and of the code that reads it.

    It covers the path, the size, the times of modification and of change and the inode of every
    module. None where a module changed less than `YOUNG_S` seconds ago: a further change might have
    the same time.
    """
    root, skipped = _place(name)
    code = code_version("builtin.py", versions=(sys.version,))
    if code is None:
        return None
    parts, latest = [code, str(root)], 0
    for path in _modules(root, skipped, _later(name)):
        try:
            stat = (root / path).stat()
        except OSError:  # a link that leads nowhere
            parts.append(f"{path}\0")
            continue
        latest = max(latest, stat.st_mtime_ns, stat.st_ctime_ns)
        facts = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        parts.append(f"{path}\0{facts}")
    return None if time.time_ns() - latest < YOUNG_S * 1e9 else digest_of(parts)


def place_of(name: str) -> Path:
    """The folder that a built-in corpus is read from."""
    return _place(name)[0]


def _place(name: str) -> tuple[Path, frozenset[str]]:
    """The folder, and the names that are passed over in it."""
    if name == "python":
        return Path(sysconfig.get_paths()["stdlib"]), SKIPPED | GENERATED
    packages = name == "python-packages"
    return Path(sysconfig.get_paths()["purelib"]), SKIPPED | VENDORED if packages else SKIPPED


def _later(name: str) -> frozenset[str]:
    """What a built-in corpus is read without, so that it stays what it was."""
    return frozenset() if name == "python-packages" else LATER


def _modules(root: Path, skipped: frozenset[str], later: frozenset[str] = LATER) -> list[Path]:
    """The relative paths of the modules under `root`, in the order of their hashes."""
    names = [path.relative_to(root) for path in root.rglob("*.py")]
    names = [
        name
        for name in names
        if not skipped.intersection(name.parts) and name.parts[0] not in later
    ]
    return sorted(names, key=lambda name: _hash(str(name)))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _parsed(
    root: Path, skipped: frozenset[str], progress: Progress
) -> Iterator[tuple[str, ast.Module, str]]:
    """Parses the modules under `root`, in the order of the hashes of their relative paths."""
    yield from _parse_all(root, _modules(root, skipped), progress)


def _parse_all(
    root: Path, names: Sequence[Path], progress: Progress = unseen
) -> Iterator[tuple[str, ast.Module, str]]:
    for number, name in enumerate(names):
        progress(number, len(names), "")
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
