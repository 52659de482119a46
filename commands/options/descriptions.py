"""Descriptions of options: the line under a field, the entry of `Args` of a function.

Those of the library are read from its source, and only where a verb's help is asked for: nothing
is imported. What the docstring of the verb itself says of an option counts before that.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from commands.options.groups import groups_of
from transplant.descriptions import args_of, descriptions_in


def descriptions_of(verb: Callable[..., None]) -> dict[str, str]:
    """The description of each option of a verb, by parameter, where there is one."""
    found: dict[str, str] = {}
    for name in reversed(getattr(verb, "described_by", ())):
        module, _, own = f"transplant.{name}".rpartition(".")
        found |= descriptions_in(module, own)
    for config, chosen in groups_of(verb):
        said: dict[str, str] = {}
        for base in reversed(inspect.getmro(config)[:-1]):
            said |= descriptions_in(base.__module__, base.__name__)
        found |= {own: said[field.of] for own, field in chosen.items() if field.of in said}
    return found | args_of(inspect.getdoc(verb) or "")
