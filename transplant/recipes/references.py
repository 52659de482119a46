"""References of a step to what an earlier step has reported: `${donor.name}`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transplant.errors import InputError

REFERENCE = re.compile(r"\$\{([^{}]*)\}")
FORM = re.compile(r"[^.\s]+(\.[^.\s]+)+")


def references_in(value: Any) -> Iterator[str]:
    """What stands between the braces, of every reference in a value."""
    if isinstance(value, str):
        yield from REFERENCE.findall(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from references_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references_in(inner)


def step_of(reference: str, where: str) -> str:
    """The step that a reference names.

    Raises:
        InputError: it is not of the form `STEP.KEY`.
    """
    if not FORM.fullmatch(reference):
        raise InputError(
            f"{where}: the reference ${{{reference}}}", expected="${STEP.KEY}, as ${donor.name}"
        )
    return reference.partition(".")[0]


def check_order(
    steps: Sequence[tuple[str, Mapping[str, Any], Mapping[str, int]]], path: object
) -> None:
    """Refuses references to no step, to a later one, and around a circle.

    Args:
        steps: name, options and the line of each option, in order.
        path: of the recipe.

    Raises:
        InputError: with the line.
    """
    place = {name: number for number, (name, _, _) in enumerate(steps)}
    uses: dict[str, list[tuple[str, str]]] = {}
    for name, options, lines in steps:
        for option, value in options.items():
            where = f"{path}:{lines[option]}"
            for reference in references_in(value):
                other = step_of(reference, where)
                if other not in place:
                    close = difflib.get_close_matches(other, place, n=1, cutoff=0.0)
                    raise InputError(
                        f"{where}: ${{{reference}}} names no step",
                        expected=f"such as {close[0]!r}", found=repr(other),
                    )  # fmt: skip
                uses.setdefault(name, []).append((other, where))
    for name, others in uses.items():
        for other, where in others:
            if place[other] < place[name]:
                continue
            circle = _circle(name, other, uses)
            if circle:
                raise InputError(
                    f"{where}: the steps refer to one another in a circle",
                    expected="steps that use what earlier ones made", found=" -> ".join(circle),
                )  # fmt: skip
            raise InputError(
                f"{where}: {name!r} refers to {other!r}, which comes after it",
                expected="a step before it",
            )


def resolved(value: Any, reports: Mapping[str, Any], where: str) -> Any:
    """A value with what the steps have reported in the place of references.

    A reference that is all of a text stands for the value itself; within a text for its words.

    Raises:
        InputError: a step has not reported that.
    """
    if isinstance(value, Mapping):
        return {key: resolved(inner, reports, where) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolved(inner, reports, where) for inner in value]
    if not isinstance(value, str):
        return value
    whole = REFERENCE.fullmatch(value)
    if whole:
        return _looked_up(whole[1], reports, where)
    return REFERENCE.sub(lambda found: str(_looked_up(found[1], reports, where)), value)


def _looked_up(reference: str, reports: Mapping[str, Any], where: str) -> Any:
    step, *keys = reference.split(".")
    value: Any = reports[step]
    for key in keys:
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            has = [*value] if isinstance(value, Mapping) else []
            close = difflib.get_close_matches(key, has, n=3, cutoff=0.0)
            raise InputError(
                f"{where}: ${{{reference}}}: {step!r} has reported no {key!r}",
                expected=f"such as {', '.join(close)}" if close else None,
            )
    return value


def _circle(first: str, other: str, uses: Mapping[str, Sequence[tuple[str, str]]]) -> list[str]:
    """The way from a step by what it uses back to itself; empty where there is none."""
    ways, seen = [[first, other]], {other}
    while ways:
        way = ways.pop()
        if way[-1] == first:
            return way
        for following, _ in uses.get(way[-1], ()):
            if following == first or following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []
