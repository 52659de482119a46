"""Texts that models write: as they come on a terminal, else one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from commands.output import Output, table


class Written:
    """Reads along on a terminal.

    Args:
        out: where the pieces go.
    """

    def __init__(self, out: Output) -> None:
        self._out = out
        self._prompt: str | None = None

    def begin(self, role: str, model: str, prompt: str) -> None:
        """Names the model, and the prompt where it is a new one."""
        if prompt != self._prompt:
            self._out.piece(_quoted(prompt), style="dim")
        self._prompt = prompt
        self._out.piece(_title(role, model), style="bold")

    def add(self, piece: str) -> None:
        """Prints it."""
        self._out.piece(printable(piece))

    def end(self) -> None:
        """Ends the line."""
        self._out.piece("\n\n")


def written_texts(report: Mapping[str, Any], *, shown: bool) -> RenderableType:
    """The texts, and a table of how many tokens were written how fast.

    Args:
        report: of `run_generate`.
        shown: whether the texts were printed already.
    """
    roles = report["systems"]
    speed = table("", "", "model", "tokens", "tokens/s")
    speed.columns[1].justify = "left"
    for role, name in roles.items():
        written = [one[role] for one in report["texts"]]
        tokens = sum(one["tokens"] for one in written)
        seconds = sum(one["seconds"] for one in written)
        speed.add_row(role, name, f"{tokens:,}", f"{tokens / max(seconds, 1e-9):,.1f}")
    return speed if shown else Group(*_texts(report), speed)


def printable(text: str) -> str:
    """Text with what would steer a terminal as escapes; tabs and line feeds stay."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text
    )


def _texts(report: Mapping[str, Any]) -> Iterator[RenderableType]:
    for one in report["texts"]:
        yield Text(_quoted(one["prompt"]).rstrip("\n"), style="dim")
        for role, name in report["systems"].items():
            yield Text(_title(role, name).rstrip("\n"), style="bold")
            yield Text(printable(one[role]["text"]) + "\n", overflow="fold")


def _quoted(prompt: str) -> str:
    lines = printable(prompt).rstrip("\n").split("\n")
    return "".join(f"> {line}\n" for line in lines)


def _title(role: str, model: str) -> str:
    return f"{role}: {model}\n"
