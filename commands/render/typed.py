"""Steps and runs that the library reports, as commands of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from typer.models import ArgumentInfo

from commands.errors import command, flags_of, typed_as
from commands.options.groups import parameters_of
from commands.verb_table import VERBS, find_verb, typed_name
from transplant.evidence.report.wording import Wording
from transplant.values import plain_values

if TYPE_CHECKING:
    from transplant.advice.decide import Advice
    from transplant.advice.steps import Step


def wording(verb: Callable[..., None]) -> Wording:
    """Calls as commands, parameters as flags.

    Args:
        verb: the one that is running, whose flags bare parameters are.
    """
    return Wording(text=partial(typed_as, flags=flags_of(verb)), command=typed_run)


def typed_run(verb: str, options: Mapping[str, Any]) -> str:
    """A run as it is typed again: what it was given, without what are defaults now.

    Args:
        verb: as manifests record it.
        options: their values by parameter, as manifests record them.
    """
    own = typed_name(verb)
    if not any(own in names for names in VERBS.values()):
        return Wording().command(verb, options)
    parameters = {parameter.name: parameter for parameter in parameters_of(find_verb(own))}
    before: list[str] = []
    given: dict[str, Any] = {}
    places = {name: place for place, name in enumerate(parameters)}  # manifests sort by name
    for name, value in sorted(options.items(), key=lambda item: places.get(item[0], len(places))):
        parameter = parameters.get(name)
        if (
            value is None
            or value == []
            or (parameter is not None and _is_default(parameter, value))
        ):
            continue
        if parameter is not None and _is_argument(parameter):
            before += map(str, value) if isinstance(value, list) else [str(value)]
        else:
            given[name] = value
    return command(verb, given, before=before)


def _is_default(parameter: inspect.Parameter, value: Any) -> bool:
    return plain_values({"": parameter.default})[""] == value


def _is_argument(parameter: inspect.Parameter) -> bool:
    return any(isinstance(one, ArgumentInfo) for one in get_args(parameter.annotation)[1:])


def command_of(step: Step) -> str:
    """A step of advice as it is typed."""
    return command(step.verb, step.options, after=step.names)


def with_commands(report: Mapping[str, Any], advice: Advice) -> dict[str, Any]:
    """A report of advice with its steps as commands to type, and the next of them."""
    steps, proof = (
        [{"command": command_of(step), "why": step.why} for step in part]
        for part in (advice.steps, advice.proof)
    )
    own = {"next": steps[0]["command"], "steps": steps, "proof": proof}
    first = {key: report[key] for key in ("from", "to", "strategy")}
    return {**first, **own, **{key: kept for key, kept in report.items() if key not in own}}
