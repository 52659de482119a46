"""The next thing to type after each verb."""

from __future__ import annotations

from commands.errors import command
from transplant.workflows.calls import Call, Facts
from transplant.workflows.next_steps import next_call


def next_step(verb: str, asked: Facts, report: object) -> str:
    """The next thing to type.

    Args:
        verb: its name on the command line.
        asked: its options, by parameter.
        report: what it has reported.
    """
    if verb == "advise" and isinstance(report, dict):  # advice names its own, as it is typed
        return str(report["next"])
    call = next_call(verb.replace("-", "_").replace(" ", "_"), asked, report)
    if isinstance(call, Call):
        return command(call.verb, call.options, before=call.names)
    return call.text
