"""An ablation as it is asked for, checked before anything is loaded; no torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from transplant.errors import InputError
from transplant.validation import Bounds, check_bounds

ABLATED = {
    "objectives": ("only", "modules", "steps", "tokens", "seeds", "native", "also_eval"),
    "controls": ("modules", "steps", "tokens", "seeds", "native", "also_eval"),
    "shapes": ("only", "seeds"),
    "ceiling": ("native",),
}
"""The ablations by name, and what each reads."""


@dataclass(frozen=True, kw_only=True)
class AblationJob:
    """Which ablation is run, and how much of it; None where nothing is asked for."""

    what: str
    """What to ablate: one of objectives, controls, shapes, ceiling."""
    only: tuple[str, ...] | None = None
    """Of objectives and shapes: these alone, as kd,lm."""
    modules: tuple[str, ...] | None = None
    """Whose modules; None for donor,random,none."""
    steps: Annotated[int | None, Bounds(1)] = None
    """Gradient steps at most; None for an objective's own, or the published number."""
    tokens: Annotated[int | None, Bounds(64)] = None
    """Domain tokens that may be read; None for 32000."""
    seeds: Annotated[int | None, Bounds(1)] = None
    """Seeds of all that is drawn; None for 1."""
    native: str | None = None
    """The native module: oracle, ceiling."""
    also_eval: Mapping[str, str] | None = None
    """Other sources of the domain, by name, to evaluate on, too."""

    def __post_init__(self) -> None:
        """Refuses an unknown ablation, and what it does not read.

        Raises:
            InputError: it names the parameters.
        """
        check_bounds(self)
        if self.what not in ABLATED:
            raise InputError(f"cannot ablate {self.what!r}", expected=f"one of {[*ABLATED]}")
        read = ABLATED[self.what]
        names = ("only", "modules", "steps", "tokens", "seeds", "native", "also_eval")
        given = [name for name in names if getattr(self, name) is not None]
        if unread := [f"`{name}`" for name in given if name not in read]:
            raise InputError(
                f"`ablate({self.what!r})` has no use for {', '.join(unread)}",
                expected=f"at most {', '.join(f'`{name}`' for name in read)}",
            )
