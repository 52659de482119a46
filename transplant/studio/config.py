"""Configuration of the studio: where it listens, and the bounds of what it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from transplant.validation import Bounds, Count, check_bounds

LOOPBACK = "127.0.0.1"
PORT = 8471


@dataclass(frozen=True, kw_only=True)
class StudioConfig:
    """Where it listens, and how much a request may ask for."""

    host: str = LOOPBACK
    """The name or address that it listens on; beyond loopback a token is asked for."""
    port: Annotated[int, Bounds(0, 65535)] = PORT
    """The port; 0 takes any that is free."""
    tokens: Count = 128
    """Tokens of one generated text, at most."""
    prompt_chars: Count = 4000
    """Characters of a prompt, at most."""
    seconds: Count = 300
    """Seconds that one computation may take."""

    def __post_init__(self) -> None:
        """Check the port and that no bound is empty.

        Raises:
            InputError: it names the field.
        """
        check_bounds(self)
