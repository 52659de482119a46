"""Advice as a report and as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from commands.errors import command
from commands.output import table

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from transplant.advice.decide import Advice
    from transplant.advice.measured import Measured
    from transplant.advice.steps import Step

SHOWN = 3  # parts of the target in the table


def command_of(step: Step) -> str:
    """A step as it is typed."""
    return command(step.verb, step.options, after=step.names)


def with_commands(report: Mapping[str, Any], advice: Advice) -> dict[str, Any]:
    """The report with its steps as commands to type, and the next of them."""
    steps, proof = (
        [{"command": command_of(step), "why": step.why} for step in part]
        for part in (advice.steps, advice.proof)
    )
    own = {"next": steps[0]["command"], "steps": steps, "proof": proof}
    first = {key: report[key] for key in ("from", "to", "strategy")}
    return {**first, **own, **{key: kept for key, kept in report.items() if key not in own}}


def advice_view(found: Measured, advice: Advice, files: Sequence[str] = ()) -> Group:
    """The questions with their numbers, what stands behind them, the commands, and files."""
    from rich.console import Group
    from rich.text import Text

    asked = table(f"{found.donor} -> {found.target}  ({', '.join(found.texts)})",
                  "", "", "measured", "threshold", "")  # fmt: skip
    asked.columns[4].justify = "left"
    asked.columns[4].no_wrap = False
    for answer in advice.answers:
        number = "" if answer.number is None else _number(answer.number)
        known = "not asked" if answer.number is None else "yes" if answer.yes else "no"
        asked.add_row(answer.question, known, number, _number(answer.threshold), answer.rests_on)
    lines = [f"\nstrategy: {advice.strategy}", f"next:     {command_of(advice.steps[0])}",
             f"          ({advice.steps[0].why})"]  # fmt: skip
    lines += [f"then:     {command_of(step)}\n          ({step.why})" for step in advice.steps[1:]]
    lines += [f"show:     {command_of(step)}\n          ({step.why})" for step in advice.proof]
    # One line for each command: a wrapped one could not be copied.
    said = [Text(line, no_wrap=True, overflow="ignore") for line in lines]
    return Group(asked, "", _behind(found), *said, *map(Text, files))


def _behind(found: Measured) -> Table:
    shown = table("measured as well", "", "")
    shown.columns[1].justify = "left"
    shown.columns[1].no_wrap = False
    shown.add_row("tokens that both have", f"{found.exact_tokens:.1%} of the target's")
    shown.add_row("positions that pair", f"{found.paired:.1%} of the target's")
    for donor in sorted({pair.donor for pair in found.pairs}):
        best = max((p for p in found.pairs if p.donor == donor), key=lambda p: p.r2)
        shown.add_row(
            f"donor's layer {donor}",
            f"R2 {best.r2:.2f}, cosine {best.cosine:.2f} from the target's layer {best.target}",
        )
    for name, nats in sorted(found.impact.items(), key=lambda item: -item[1])[:SHOWN]:
        shown.add_row(f"without {name}", f"{nats:+.2f} nats per token")
    for candidate in found.candidates:
        known = (
            ("recovered {:.2f} in a move", candidate.recovered),
            ("gained {:.2f} nats per token at home", candidate.gained),
            ("is there as {}", candidate.moved),
        )
        said = [text.format(value) for text, value in known if value is not None]
        shown.add_row(candidate.name, ", ".join(said) or "nothing is recorded of it")
    return shown


def _number(value: float) -> str:
    return f"{value:g}" if value == int(value) else f"{value:.2f}"
