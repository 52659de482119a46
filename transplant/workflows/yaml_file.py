"""YAML files of a user's, read strictly: plain values, each with its line, and nothing that runs.

A file may be written by anybody: tags that would build objects, aliases that would grow without
end, keys that stand twice and numbers of YAML 1.1 that look like something else (`1:30`, `0x1f`)
are refused or stay text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from transplant.errors import InputError, foreign
from transplant.files.plain import expand, read_plain

LARGEST = 1 << 20  # bytes
MOST_VALUES, DEEPEST = 100_000, 32  # what an alias stands for is counted as often as it is used
INTEGER = re.compile(r"[-+]?[0-9][0-9_]{0,40}")
NUMBER = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?")
TAG = "tag:yaml.org,2002:"
PLAIN_TAGS = ("str", "int", "float", "bool", "null", "timestamp", "value")


def read_nodes(path: Path | str, what: str) -> Any:
    """The root node of a file's one document; None where it is empty.

    Args:
        path: the file.
        what: what it is, for messages, as `the gates`.

    Raises:
        InputError: no such file, no YAML, or several documents; with the line.
    """
    import yaml

    try:
        data = read_plain(expand(path), LARGEST, follow=True)
    except OSError as error:
        raise InputError(f"cannot read {what} {path}", found=error.strerror) from error
    with foreign(f"{what} {path} {'are' if what.endswith('s') else 'is'} no YAML", InputError):
        try:
            return yaml.compose(data.decode("utf-8"), Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
            raise InputError(f"{where} is no YAML", found=error.problem) from error


def entries(node: Any, path: Path | str, expected: str) -> list[tuple[str, int, Any]]:
    """The keys of a mapping with their lines and values.

    Raises:
        InputError: no mapping, a key that is no word, or one that appears twice.
    """
    import yaml

    at = node.start_mark.line + 1
    if not isinstance(node, yaml.MappingNode):
        raise InputError(f"{path}:{at}", expected=f"a mapping: {expected}", found=shown(node))
    found: dict[str, tuple[str, int, Any]] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise InputError(f"{path}:{line}", expected="a word", found=shown(key))
        if key.value in found:
            raise InputError(
                f"{path}:{line}: {key.value!r} appears twice",
                found=f"line {found[key.value][1]}, too",
            )
        found[key.value] = (key.value, line, value)
    return [*found.values()]


def shown(node: Any) -> str:
    """A node as a message shows it."""
    value = getattr(node, "value", node)
    return repr(value)[:60] if isinstance(value, str) else f"a {node.id}"


class PlainValues:
    """Turns nodes of one file into text, numbers, truth values, lists and mappings.

    Args:
        path: the file, for messages.
    """

    def __init__(self, path: Path | str) -> None:
        self.path, self._seen = path, 0

    def of(self, node: Any, depth: int = 0) -> Any:
        """The value of a node.

        Raises:
            InputError: a tag of its own, too many values, or one inside itself; with the line.
        """
        where = f"{self.path}:{node.start_mark.line + 1}"
        self._seen += 1
        if self._seen > MOST_VALUES or depth > DEEPEST:
            raise InputError(
                f"{where}: too many values",
                expected=f"at most {MOST_VALUES:,}, {DEEPEST} deep, aliases counted at each use",
            )
        if node.id == "sequence" and node.tag == TAG + "seq":
            return [self.of(one, depth + 1) for one in node.value]
        if node.id == "mapping" and node.tag == TAG + "map":
            found = entries(node, self.path, "plain values")
            return {key: self.of(value, depth + 1) for key, _, value in found}
        if node.id == "scalar" and node.tag.removeprefix(TAG) in PLAIN_TAGS:
            return _scalar(node)
        raise InputError(f"{where}: the tag {node.tag.replace(TAG, '!!')}", expected="plain values")


def _scalar(node: Any) -> Any:
    """The value of one word; a number is one as JSON or Python writes it, all else is text."""
    text, tag = node.value, node.tag.removeprefix(TAG)
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() in ("true", "yes", "on")
    if node.style is None:  # neither quoted nor a block
        if INTEGER.fullmatch(text):
            return int(text)
        if NUMBER.fullmatch(text):
            return float(text)
    return text
