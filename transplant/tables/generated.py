"""Texts that models have written, and how fast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from transplant.tables.table import Sheet, Table, left
from transplant.tables.words import Words, faint, quote, strong


def generated_sheet(report: Mapping[str, Any], *, texts: bool = True) -> Sheet:
    """The texts, and a table of how many tokens were written how fast.

    Args:
        report: of `run_generate`.
        texts: whether they are shown; not where they were read as they came.
    """
    roles = report["systems"]
    speed = Table("", "", left("model"), "tokens", "tokens/s")
    for role, name in roles.items():
        written = [one[role] for one in report["texts"]]
        tokens = sum(one["tokens"] for one in written)
        seconds = sum(one["seconds"] for one in written)
        speed.add(role, name, f"{tokens:,}", f"{tokens / max(seconds, 1e-9):,.1f}")
    return Sheet(*(_texts(report) if texts else ()), speed)


def printable(text: str) -> str:
    """Text with what would steer a terminal as escapes; tabs and line feeds stay."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text
    )


def _texts(report: Mapping[str, Any]) -> Iterator[Words]:
    for one in report["texts"]:
        yield faint(prompt_lines(one["prompt"]).rstrip("\n"))
        for role, name in report["systems"].items():
            yield strong(heading(role, name).rstrip("\n"))
            yield quote(printable(one[role]["text"]) + "\n")


def prompt_lines(prompt: str) -> str:
    """A prompt, each line of it behind a mark."""
    lines = printable(prompt).rstrip("\n").split("\n")
    return "".join(f"> {line}\n" for line in lines)


def heading(role: str, model: str) -> str:
    """The line above what a model writes."""
    return f"{role}: {model}\n"
