"""The options of an ablation beside those of its move: `ablate`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

import typer

from commands.options.objective import Steps
from commands.options.shared import AlsoEval
from transplant.errors import InputError

ABLATED = {
    "objectives": ("only", "modules", "steps", "tokens", "seeds", "native", "also_eval"),
    "controls": ("modules", "steps", "tokens", "seeds", "native", "also_eval"),
    "shapes": ("only", "seeds"),
    "ceiling": ("native",),
}
"""Which of the options each ablation reads."""


@dataclass(frozen=True, kw_only=True)
class AblateOptions:
    """The options that not all ablations read; None where one is not given."""

    only: Annotated[
        str | None, typer.Option(help="Of `objectives` and `shapes`: these alone, as kd,lm.")
    ] = None
    modules: Annotated[
        str | None,
        typer.Option(help="Whose modules; default: donor,random,none.", show_default=False),
    ] = None
    steps: Steps = None
    tokens: Annotated[
        int | None,
        typer.Option(
            min=64, help="Domain tokens that may be read; default: 32000.", show_default=False
        ),
    ] = None
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Seeds of all that is drawn; default: 1.", show_default=False),
    ] = None
    native: Annotated[str | None, typer.Option(help="The native module: oracle, ceiling.")] = None
    also_eval: AlsoEval = None

    def check_read_by(self, what: str) -> None:
        """Refuses an unknown ablation, and options that it does not read.

        Raises:
            InputError: naming them.
        """
        if what not in ABLATED:
            raise InputError(f"cannot ablate {what!r}", expected=f"one of {[*ABLATED]}")
        given = [f.name for f in dataclasses.fields(self) if getattr(self, f.name) is not None]
        if unread := [f"--{name.replace('_', '-')}" for name in given if name not in ABLATED[what]]:
            raise InputError(
                f"`ablate {what}` has no use for {', '.join(unread)}",
                expected=f"at most {', '.join(f'--{name}' for name in ABLATED[what])}",
            )

    @property
    def chosen(self) -> tuple[str, ...] | None:
        """Those of `only`."""
        return tuple(self.only.split(",")) if self.only else None
