"""Former names of options: they are still taken, with a note on stderr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from commands.errors import long_names
from commands.options.groups import parameters_of
from commands.verb_table import find_verb

FORMER = ("--data",)
"""Where it is not the first name of an option, it is what the option was once called."""


def former_names_in(verb: str | None, words: Sequence[str]) -> Iterator[str]:
    """A note for each former name among the words of a command.

    Args:
        verb: its name on the command line; None for none.
        words: all that was typed.
    """
    typed = {word.partition("=")[0] for word in words}
    if verb is None or not typed.intersection(FORMER):
        return
    for parameter in parameters_of(find_verb(verb)):
        first, *others = long_names(parameter) or ("",)
        for former in typed.intersection(others).intersection(FORMER):
            yield f"{former} is called {first} now; the former name is still taken"
