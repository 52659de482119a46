"""The patterns of an adapter's settings: matched as PEFT matches them, and never for long.

A pattern comes with a file that somebody else wrote, and a regular expression can take forever on
one short name. All matches of one adapter share a budget of seconds.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import regex

from transplant.errors import InputError, foreign

SECONDS = 1.0  # of all matches of one adapter: some thousand names and patterns take milliseconds


@dataclass
class Matcher:
    """Matches patterns against names until its time is up."""

    left: float = SECONDS

    def match(self, pattern: str, name: str, *, whole: bool = False) -> regex.Match[str] | None:
        """The match at the start of a name, or of the whole of it.

        Raises:
            InputError: the patterns of this adapter have taken all the time there is.
        """
        began = time.monotonic()
        find = regex.fullmatch if whole else regex.match
        try:
            return find(pattern, name, timeout=max(self.left, 1e-3))
        except TimeoutError as error:
            raise InputError(
                f"the pattern {pattern[:80]!r} takes too long on {name!r}",
                expected=f"all patterns matched within {SECONDS:g} s",
                hint="names in place of the pattern, in the adapter's settings",
            ) from error
        finally:
            self.left -= time.monotonic() - began


def check_pattern(pattern: str) -> str:
    """Returns a pattern that is one.

    Raises:
        InputError: it is no regular expression.
    """
    with foreign(f"the pattern {pattern[:80]!r}", InputError, expected="a regular expression"):
        re.compile(pattern)
        regex.compile(pattern)
    return pattern
