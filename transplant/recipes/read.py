"""Files of recipes: settings at the top, and below them steps of one verb each.

    seed: 0
    steps:
      - name: donor
        train: {backbone: ref-gpt2, domain: python}
      - transfer:
          module: ${donor.name}
          to: ref-llama

A step has one verb with its options, and may have `name`, by which later steps refer to what it
reports, and `may_fail: true`. All of it is checked here, before anything runs.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transplant.errors import InputError
from transplant.recipes.references import check_order, references_in
from transplant.recipes.values import checked_options, named_options
from transplant.recipes.verbs import Option, Verbs
from transplant.workflows.yaml_file import PlainValues, entries, read_nodes, shown

STEPS = "steps"
OWN = ("name", "may_fail")
"""Keys of a step beside its verb."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step as it is written, checked as far as it can be before the steps that it refers to."""

    name: str
    """By which others refer to it."""
    verb: str
    """As it is typed."""
    options: Mapping[str, Any]
    """As they are written, by parameter; references are not resolved."""
    lines: Mapping[str, int]
    """The line of each option."""
    line: int
    """Of the verb."""
    may_fail: bool
    """Whether the recipe goes on where it did not pass."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe, checked."""

    path: Path
    """The file."""
    settings: Mapping[str, Any]
    """For all steps, as they are written, by parameter."""
    steps: tuple[Step, ...]
    """In order."""

    def where(self, step: Step, option: str = "") -> str:
        """The file and the line of a step, or of one of its options."""
        return f"{self.path}:{step.lines.get(option, step.line)}"


def read_recipe(path: Path | str, verbs: Verbs) -> Recipe:
    """Reads a recipe and checks all that can be known before it runs.

    Raises:
        InputError: no such file, no YAML, an unknown key, verb or option, a value of a wrong type,
            a name that is taken, a reference to no step or a later one; with file and line.
    """
    path = Path(path)
    root = read_nodes(path, "the recipe")
    if root is None:
        raise InputError(f"the recipe {path}", expected="a list `steps`", found="nothing")
    plain = PlainValues(path)
    top = {key: (line, node) for key, line, node in entries(root, path, "settings and `steps`")}
    if STEPS not in top:
        raise InputError(f"the recipe {path}", expected="a list `steps`", found=", ".join(top))
    line, listed = top.pop(STEPS)
    given = {key: (at, plain.of(node)) for key, (at, node) in top.items()}
    for key, (at, value) in given.items():
        if any(references_in(value)):
            raise InputError(f"{path}:{at}: {key!r} refers to a step", expected="a value")
    settings, _ = _checked(path, given, 1, verbs.settings(), "the top of a recipe")
    if listed.id != "sequence" or not listed.value:
        found = shown(listed) if listed.id != "sequence" else "an empty one"
        raise InputError(f"{path}:{line}: steps", expected="a list of steps", found=found)
    steps: list[Step] = []
    for node in listed.value:
        steps.append(_step(path, node, verbs, plain, steps))
    check_order([(step.name, step.options, step.lines) for step in steps], path)
    return Recipe(path=path, settings=settings, steps=tuple(steps))


def _checked(
    path: Path, given: Mapping[str, tuple[int, Any]], line: int, table: Sequence[Option], what: str
) -> tuple[dict[str, Any], dict[str, int]]:
    """Values by parameter, checked but for those that refer to a step, and their lines.

    Args:
        path: of the recipe.
        given: line and value, by the keys of the file.
        line: of the whole.
        table: the options that there are.
        what: whose they are.
    """

    def where(key: str) -> str:
        return f"{path}:{given[key][0] if key in given else lines.get(key, line)}"

    lines: dict[str, int] = {}  # by the names that messages have
    spelled = {option.name: option.spelled[0] for option in table}
    named = named_options({key: value for key, (_, value) in given.items()}, table, what, where)
    lines |= {spelled[name]: given[key][0] for name, (key, _) in named.items()}
    values = {name: value for name, (_, value) in named.items()}
    later = frozenset(name for name, value in values.items() if any(references_in(value)))
    values |= checked_options(values, table, what, where, later)
    return values, {name: given[key][0] for name, (key, _) in named.items()}


def _step(path: Path, node: Any, verbs: Verbs, plain: PlainValues, before: Sequence[Step]) -> Step:
    """One step of the list."""
    keys = {
        key: (line, value) for key, line, value in entries(node, path, "a verb and its options")
    }
    at = node.start_mark.line + 1
    own = {key: (keys[key][0], plain.of(keys[key][1])) for key in OWN if key in keys}
    written = [key for key in keys if key not in OWN]
    if len(written) != 1:
        found = " and ".join(written) or "none"
        raise InputError(f"{path}:{at}: a step", expected="one verb", found=found)
    line, options = keys[written[0]]
    verb = _verb(written[0], f"{path}:{line}", verbs)
    name = _name(own, verb, f"{path}:{own['name'][0] if 'name' in own else line}", before)
    may_fail = own.get("may_fail", (line, False))
    if not isinstance(may_fail[1], bool):
        raise InputError(
            f"{path}:{may_fail[0]}: 'may_fail'", expected="true or false", found=repr(may_fail[1])
        )
    empty = options.id == "scalar" and plain.of(options) is None  # `trace:` alone
    found = [] if empty else entries(options, path, f"the options of {verb}")
    given, lines = _checked(
        path, {key: (at, plain.of(value)) for key, at, value in found}, line,
        verbs.options(verb), verb,
    )  # fmt: skip
    return Step(
        name=name, verb=verb, options=given, lines=lines, line=line, may_fail=may_fail[1]
    )  # fmt: skip


def _verb(written: str, where: str, verbs: Verbs) -> str:
    """The verb of a step: `train-core`, `train_core` and `basis fit` are understood."""
    known = {_plain(name): name for name in verbs.names()}
    if _plain(written) not in known:
        close = difflib.get_close_matches(_plain(written), known, n=1, cutoff=0.0)
        raise InputError(
            f"{where}: no step does {written!r}", expected=f"a verb, such as {known[close[0]]!r}"
        )
    return known[_plain(written)]


def _name(own: Mapping[str, tuple[int, Any]], verb: str, where: str, before: Sequence[Step]) -> str:
    """The name of a step: its own, or that of its verb with a number where that is taken."""
    taken = {step.name: step.line for step in before}
    if "name" not in own:
        base, number = _plain(verb), 1
        name = base
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        return name
    name = own["name"][1]
    if not isinstance(name, str) or not name or not name.isprintable() or set(name) & set(" .${}"):
        raise InputError(
            f"{where}: 'name'",
            expected="one word without dots, spaces and braces",
            found=repr(name),
        )
    if name in taken:
        raise InputError(
            f"{where}: the name {name!r} is taken", expected="another",
            found=f"the step on line {taken[name]}",
        )  # fmt: skip
    return name


def _plain(word: str) -> str:
    return word.strip().replace("_", "-").replace(" ", "-")
