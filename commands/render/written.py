"""Texts on a terminal while models write them."""

from __future__ import annotations

from commands.output import Output
from transplant.tables.generated import heading, printable, prompt_lines


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
            self._out.piece(prompt_lines(prompt), style="dim")
        self._prompt = prompt
        self._out.piece(heading(role, model), style="bold")

    def add(self, piece: str) -> None:
        """Prints it."""
        self._out.piece(printable(piece))

    def end(self) -> None:
        """Ends the line."""
        self._out.piece("\n\n")
