"""Advice: its questions with their numbers, and the steps to take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from transplant.advice.decide import Advice
from transplant.advice.measured import Measured
from transplant.advice.steps import Step
from transplant.tables.table import Sheet, Table, prose
from transplant.tables.words import Marked, Words, call, code

SHOWN = 3  # parts of the target in the table


def called(step: Step) -> Marked:
    """A step as a call of this library."""
    given = [*map(repr, step.names), *(f"{name}={value!r}" for name, value in step.options.items())]
    return call(f"{step.verb}({', '.join(given)})")


def advice_sheet(
    found: Measured,
    advice: Advice,
    files: Sequence[str] = (),
    written: Callable[[Step], str | Marked] = called,
) -> Sheet:
    """The questions with their numbers, what stands behind them, the steps, and files.

    Args:
        found: what was measured.
        advice: what follows from it.
        files: where it was written.
        written: gives a step as the reader types it.
    """
    title = f"{found.donor} -> {found.target}  ({', '.join(found.texts)})"
    asked = Table(title, "", "", "measured", "threshold", prose(""))
    for answer in advice.answers:
        number = "" if answer.number is None else _number(answer.number)
        known = "not asked" if answer.number is None else "yes" if answer.yes else "no"
        asked.add(answer.question, known, number, _number(answer.threshold), answer.rests_on)
    return Sheet(asked, "", _behind(found), *_steps(advice, written), *files)


def _steps(advice: Advice, written: Callable[[Step], str | Marked]) -> Iterator[Words]:
    """A command each, on one line: a broken one could not be copied."""
    first, *later = advice.steps
    yield code(f"\nstrategy: {advice.strategy}")
    told = [("next", first), *(("then", step) for step in later)]
    for when, step in (*told, *(("show", step) for step in advice.proof)):
        yield code(f"{when}:     ", written(step), f"\n          ({step.why})")


def _behind(found: Measured) -> Table:
    shown = Table("measured as well", "", prose(""))
    shown.add("tokens that both have", f"{found.exact_tokens:.1%} of the target's")
    shown.add("positions that pair", f"{found.paired:.1%} of the target's")
    for donor in sorted({pair.donor for pair in found.pairs}):
        best = max((p for p in found.pairs if p.donor == donor), key=lambda p: p.r2)
        shown.add(
            f"donor's layer {donor}",
            f"R2 {best.r2:.2f}, cosine {best.cosine:.2f} from the target's layer {best.target}",
        )
    for name, nats in sorted(found.impact.items(), key=lambda item: -item[1])[:SHOWN]:
        shown.add(f"without {name}", f"{nats:+.2f} nats per token")
    for candidate in found.candidates:
        known = (
            ("recovered {:.2f} in a move", candidate.recovered),
            ("gained {:.2f} nats per token at home", candidate.gained),
            ("is there as {}", candidate.moved),
        )
        said = [text.format(value) for text, value in known if value is not None]
        shown.add(candidate.name, ", ".join(said) or "nothing is recorded of it")
    return shown


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.2f}"
