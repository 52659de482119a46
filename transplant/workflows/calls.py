"""A call that is proposed, and the facts of a run that fill it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Facts = Mapping[str, Any]
"""What a verb was asked with, and over that what it has reported."""
_IN_BRACES = re.compile(r"\{([^}]+)\}")
_WIDTH = re.compile(r"/d\d+\Z")  # of a full name


@dataclass(frozen=True)
class Call:
    """A verb with what it is given; as text a call in backquotes.

    Args:
        verb: its name in the library, such as `bridge_train`.
        names: what it takes without a parameter's name.
        options: the other values, by parameter.
    """

    verb: str
    names: tuple[str, ...]
    options: Mapping[str, str | bool]

    def __str__(self) -> str:
        given = [*map(repr, self.names), *(f"{k}={value!r}" for k, value in self.options.items())]
        return f"`{self.verb}({', '.join(given)})`"


@dataclass(frozen=True)
class Code:
    """Python that is no call of a verb."""

    text: str

    def __str__(self) -> str:
        return f"`{self.text}`"


def filled(text: str, words: Mapping[str, str]) -> str:
    """Text with facts in place of their names in braces; one that is not known in capitals."""
    return _IN_BRACES.sub(lambda found: words.get(found[1], found[1].upper()), text)


def words_of(told: Facts) -> dict[str, str]:
    """The facts that are words; parts of full names, files and the like beside them."""
    words = {k: str(v) for k, v in told.items() if isinstance(v, str | int | Path)}
    own, _, backbone = words.get("hosted", words.get("name", "")).partition("@")
    words |= {"own": own, "on": _WIDTH.sub("", backbone) or own, "onto": backbone}
    words["core"] = words["on"]
    pieces, data = told.get("pieces"), told.get("data")
    if isinstance(pieces, list) and pieces:
        first = pieces[0]
        words["piece"] = str(first["piece"] if isinstance(first, Mapping) else first)
    if isinstance(data, Mapping):
        words["judged"] = str(data.get("source", ""))
    words |= {name: written(told, name) for name in ("metrics.json", "trace.json")}
    words["made"] = made_last(told)
    return {fact: word for fact, word in words.items() if word}


def written(told: Facts, name: str) -> str:
    """A file that was written; nothing where none of that name was."""
    return next((str(file) for file in told.get("files", ()) if Path(file).name == name), "")


def made_last(told: Facts) -> str:
    """The last artifact that a recipe made; nothing where it made none."""
    steps = told.get("steps")
    each = steps if isinstance(steps, list) else []
    made = [it for step in each for it in step.get("made", ()) if it["kind"] != "interface"]
    if not made:
        return ""
    last = made[-1]
    return f"{last['name']}@{last['backbone']}" if last["backbone"] else str(last["name"])
