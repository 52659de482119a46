"""Configuration of the studio: where it listens, and the bounds of what it computes."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.errors import InputError
from transplant.validation import at_least

LOOPBACK = "127.0.0.1"
PORT = 8471


@dataclass(frozen=True, kw_only=True)
class StudioConfig:
    """Where it listens, and how much a request may ask for."""

    host: str = LOOPBACK
    """The name or address that it listens on; beyond loopback a token is asked for."""
    port: int = PORT
    """The port; 0 takes any that is free."""
    tokens: int = 128
    """Tokens of one generated text, at most."""
    prompt_chars: int = 4000
    """Characters of a prompt, at most."""
    seconds: int = 300
    """Seconds that one computation may take."""

    def __post_init__(self) -> None:
        """Check the port and that no bound is empty.

        Raises:
            InputError: it names the field.
        """
        at_least(self, 1, "tokens", "prompt_chars", "seconds")
        if not 0 <= self.port <= 65535:
            raise InputError("`port`", expected="0 to 65535", found=self.port)
