"""The help of a verb: whole names of options at any width, and examples to copy."""

from __future__ import annotations

import inspect
import shutil
import sys
from collections.abc import Callable
from typing import Any

from typer.core import TyperCommand

NARROWEST, WIDEST = 50, 100  # columns of the help


def examples_of(verb: Callable[..., None]) -> list[str]:
    """The commands behind `Example:` in the docstring of a verb's file."""
    module = inspect.getdoc(sys.modules[inspect.unwrap(verb).__module__]) or ""
    lines = (line.strip() for line in module.splitlines())
    return [line.removeprefix("Example: ") for line in lines if line.startswith("Example: ")]


class VerbCommand(TyperCommand):
    """A verb with its help as plain lines: a panel cuts names of options on a narrow terminal."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes usage, options and examples."""
        self._describe()
        formatter.width = max(NARROWEST, min(shutil.get_terminal_size().columns, WIDEST))
        self.rich_markup_mode = None
        super().format_help(ctx, formatter)
        for example in examples_of(self.callback) if self.callback else ():
            formatter.write(f"\nExample: {example}\n")

    def _describe(self) -> None:
        """Gives each option that has no text of its own the library's description of it."""
        verb = inspect.unwrap(self.callback) if self.callback else None
        if verb is None or all(_help_of(option) for option in self.params):
            return
        from commands.errors import flags_of, typed_as
        from transplant.descriptions import descriptions_of

        flags, texts = flags_of(verb), descriptions_of(verb)
        for option in self.params:
            if not _help_of(option) and option.name in texts:
                said = typed_as(texts[option.name], flags).replace("`", "")
                option.help = said  # pyright: ignore[reportAttributeAccessIssue]


def _help_of(option: Any) -> str | None:
    return getattr(option, "help", None)
