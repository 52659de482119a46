"""Recipes of mergekit, read strictly: every key is known, every model is named once by line.

mergekit passes over keys that it does not know, so that a misspelt one has no effect. Format:
https://github.com/arcee-ai/mergekit, `mergekit/config.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transplant.errors import InputError, foreign
from transplant.files.plain import expand, read_plain

LARGEST = 1 << 20  # bytes
MOST_NODES, DEEPEST = 100_000, 32  # aliases counted as often as they are used
FORMS = ("models", "slices", "modules")
REFERENCE, TOKENIZER, PLAIN, LIST, BY_NAME = "reference", "tokenizer", "plain", "list of ", "each "
KEYS: dict[str, dict[str, str]] = {
    "recipe": {
        "models": LIST + "model", "slices": LIST + "slice", "modules": BY_NAME + "module",
        "merge_method": PLAIN, "base_model": REFERENCE, "dtype": PLAIN, "out_dtype": PLAIN,
        "parameters": PLAIN, "tokenizer_source": TOKENIZER, "tokenizer": "vocabulary",
    },
    "model": {"model": REFERENCE, "parameters": PLAIN},
    "slice": {
        "sources": LIST + "source", "base_model": REFERENCE, "residual_weight": PLAIN,
        "parameters": PLAIN,
    },
    "source": {"model": REFERENCE, "layer_range": PLAIN, "parameters": PLAIN},
    "module": {"models": LIST + "model", "slices": LIST + "slice", "parameters": PLAIN},
    "vocabulary": {"source": TOKENIZER},
}  # fmt: skip
"""By kind of mapping: its keys, and what each of them holds."""
DROPPED = ("tokenizer_source", "tokenizer")
"""Keys without an effect, for the parents have one tokenizer; the merged model gets its files."""


@dataclass(frozen=True)
class Reference:
    """A model as a recipe names it."""

    name: str
    line: int


@dataclass(frozen=True)
class Recipe:
    """A recipe with its references to models."""

    path: Path
    content: Mapping[str, Any]
    """As mergekit reads it, with a `Reference` wherever a model is named."""
    sha256: str

    @property
    def method(self) -> str:
        """The merge method."""
        return str(self.content["merge_method"])

    @property
    def dtype(self) -> str | None:
        """What the merged weights are stored in, where the recipe says so."""
        stored = self.content.get("out_dtype") or self.content.get("dtype")
        return None if stored is None else str(stored).removeprefix("torch.")

    @property
    def has_slices(self) -> bool:
        """Whether it puts layers together, so that the merged model may have more or fewer."""
        modules = self.content.get("modules") or {}
        return "slices" in self.content or any("slices" in one for one in modules.values())

    @property
    def references(self) -> tuple[Reference, ...]:
        """The models that it names, each once, in order."""
        found: dict[str, Reference] = {}
        for one in _references(self.content):
            found.setdefault(one.name, one)
        return tuple(found.values())

    def with_folders(self, folders: Mapping[str, Path]) -> dict[str, Any]:
        """What mergekit reads: a folder in the place of each name."""
        # In parts: of a string mergekit would split `@` and `+` off.
        paths = {name: {"model": {"path": str(folder)}} for name, folder in folders.items()}
        return _replaced({k: self.content[k] for k in self.content if k not in DROPPED}, paths)

    @property
    def plain(self) -> dict[str, Any]:
        """All that it says, with names of models as it has them."""
        return _replaced(self.content, {one.name: one.name for one in self._all_references()})

    def _all_references(self) -> list[Reference]:
        sources = [self.content.get("tokenizer", {}).get("source")]
        sources.append(self.content.get("tokenizer_source"))
        return [*_references(self.content), *(one for one in sources if one is not None)]


def read_recipe(path: Path | str) -> Recipe:
    """Reads a file of a recipe.

    Raises:
        InputError: no such file, no YAML, an unknown key, no method, or a model that is not named
            by a word; with the line.
    """
    import yaml

    path = Path(path)
    try:
        data = read_plain(expand(path), LARGEST, follow=True)
    except OSError as error:
        raise InputError(f"cannot read the recipe {path}", found=error.strerror) from error
    with foreign(f"the recipe {path} is no YAML", InputError):
        loader = yaml.SafeLoader(data.decode("utf-8"))
        try:
            root = loader.get_single_node()
            content = _Reader(path, loader).mapping(root, "recipe")
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
            raise InputError(f"{where} is no YAML", found=error.problem) from error
    _check_whole(path, content)
    return Recipe(path, content, hashlib.sha256(data).hexdigest())


class _Reader:
    """Turns nodes of YAML into values by the table of keys."""

    def __init__(self, path: Path, loader: Any) -> None:
        self.path, self._loader = path, loader
        self._seen = 0

    def mapping(self, node: Any, kind: str) -> dict[str, Any]:
        """The values of a mapping of a kind of `KEYS`, by key."""
        keys = KEYS[kind]
        found: dict[str, Any] = {}
        for key, at, value in self._entries(node, kind):
            if key not in keys:
                raise InputError(
                    f"{self.path}:{at}: {key!r} in a {kind}", expected=f"one of {', '.join(keys)}"
                )
            found[key] = self._value(value, keys[key])
        return found

    def _value(self, node: Any, kind: str) -> Any:
        where = f"{self.path}:{node.start_mark.line + 1}"
        if kind in (REFERENCE, TOKENIZER):
            if node.id != "scalar" or not node.value:
                raise InputError(
                    f"{where}: a model", expected="its name, its folder or its hub id",
                    found=f"a {node.id}",
                )  # fmt: skip
            return Reference(node.value, node.start_mark.line + 1)
        if kind.startswith(LIST):
            if node.id != "sequence" or not node.value:
                raise InputError(f"{where}", expected=f"a {kind}s", found=f"a {node.id}")
            return [self.mapping(one, kind.removeprefix(LIST)) for one in node.value]
        if kind.startswith(BY_NAME):
            own = kind.removeprefix(BY_NAME)
            return {key: self.mapping(one, own) for key, _, one in self._entries(node, "name")}
        if kind in KEYS:
            return self.mapping(node, kind)
        self._count(node, 0)
        return self._loader.construct_object(node, deep=True)

    def _entries(self, node: Any, kind: str) -> list[tuple[str, int, Any]]:
        """The keys of a mapping with their lines and values."""
        if node is None or node.id != "mapping":
            at = 1 if node is None else node.start_mark.line + 1
            raise InputError(
                f"{self.path}:{at}", expected=f"the keys of a {kind}",
                found="nothing" if node is None else f"a {node.id}",
            )  # fmt: skip
        lines: dict[str, int] = {}
        entries: list[tuple[str, int, Any]] = []
        for key, value in node.value:
            at = key.start_mark.line + 1
            if key.id != "scalar" or key.value in lines:
                again = (
                    f"{key.value!r}, as on line {lines[key.value]}" if key.id == "scalar" else ""
                )
                raise InputError(
                    f"{self.path}:{at}", expected="each key once, a word",
                    found=again or f"a {key.id}",
                )  # fmt: skip
            lines[key.value] = at
            entries.append((key.value, at, value))
        return entries

    def _count(self, node: Any, depth: int) -> None:
        """Refuses what aliases have blown up, or closed to a ring."""
        self._seen += 1
        if self._seen > MOST_NODES or depth > DEEPEST:
            raise InputError(
                f"{self.path}:{node.start_mark.line + 1}: too large a recipe",
                expected=f"at most {MOST_NODES:,} values, {DEEPEST} deep",
            )
        if node.id == "sequence":
            for one in node.value:
                self._count(one, depth + 1)
        elif node.id == "mapping":
            for key, value in node.value:
                self._count(key, depth + 1)
                self._count(value, depth + 1)


def _check_whole(path: Path, content: Mapping[str, Any]) -> None:
    """Refuses a recipe without a method, of no form or two, or with a tokenizer of another model.

    Raises:
        InputError: naming it.
    """
    if not isinstance(content.get("merge_method"), str):
        raise InputError(f"the recipe {path}", expected="merge_method, such as linear")
    forms = [form for form in FORMS if form in content]
    if len(forms) != 1:
        raise InputError(
            f"the recipe {path}", expected=f"one of {', '.join(FORMS)}",
            found=" and ".join(forms) or "none of them",
        )  # fmt: skip
    vocabulary = content.get("tokenizer", {}).get("source")
    named = {one.name for one in _references({k: content[k] for k in content if k not in DROPPED})}
    for given in (content.get("tokenizer_source"), vocabulary):
        if given is not None and given.name not in {"base", "union", *named}:
            raise InputError(
                f"{path}:{given.line}: the tokenizer of {given.name}",
                expected="base, union or a model of the recipe: they have one tokenizer",
            )


def _references(value: Any) -> list[Reference]:
    """The references in a value, in order; what names a tokenizer alone is none."""
    if isinstance(value, Reference):
        return [value]
    if isinstance(value, Mapping):
        return [r for key, v in value.items() if key not in DROPPED for r in _references(v)]
    return [r for one in value for r in _references(one)] if isinstance(value, list) else []


def _replaced(value: Any, paths: Mapping[str, Any]) -> Any:
    if isinstance(value, Reference):
        return paths[value.name]
    if isinstance(value, Mapping):
        return {key: _replaced(inner, paths) for key, inner in value.items()}
    return [_replaced(inner, paths) for inner in value] if isinstance(value, list) else value
