"""Scope in Python: the right text runs, the wrong one reads a name that is not bound there.

Every wrong text raises NameError, or UnboundLocalError, which is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from transplant.counterfactuals.names import (
    FUNCTION_PAIRS,
    NUMBERS,
    STRINGS,
    VARIABLE_CHOICES,
)
from transplant.counterfactuals.template import GAP, Couple, Template, swapped

Names = tuple[str, str]


def _template(field: str, text: str, slots: tuple[Sequence[Any], ...]) -> Template:
    """A template of code that binds `{bound}` where the gap is, and `{other}` elsewhere.

    Args:
        field: its name.
        text: of the code, with fields for both names and one for each further slot.
        slots: the pair of names, then what `{0}`, `{1}` and so on are.
    """
    return Template(field, slots, _builder(text))


def _builder(text: str) -> Callable[..., Couple]:
    def build(names: Names, *others: Any) -> Couple:
        one, other = names
        contexts = (
            text.format(*others, bound=one, other=other, gap=GAP),
            text.format(*others, bound=other, other=one, gap=GAP),
        )
        return swapped(contexts, names, names)

    return build


PARAMETER = """\
def {0[0]}({other}):
    return {other} + {1}


def {0[1]}({bound}):
    return {gap} * {2}


print({0[0]}({2}), {0[1]}({1}))
"""
OTHER_FUNCTION = """\
def {0[0]}():
    {other} = {1}
    return {other}


def {0[1]}():
    {bound} = {2}
    return {gap}


print({0[0]}(), {0[1]}())
"""
COMPREHENSION = "{bound} = [1, {0}]\nprint([{other} + {1} for {other} in {bound}])\nprint({gap})\n"
DELETED = "{bound} = {0}\n{other} = {1}\ndel {other}\nprint({gap} + {2})\n"
NOT_YET = "{bound} = {0}\nprint({gap} + {1})\n{other} = {2}\nprint({other})\n"
HANDLER = """\
try:
    int("{0}")
except ValueError as {other}:
    {bound} = str({other})

print({gap})
"""
INNER = """\
def {0[0]}({bound}):
    def {0[1]}({other}):
        return {other} + {1}

    return {0[1]}({gap})


print({0[0]}({2}))
"""
LAMBDA = """\
{0[0]} = lambda {other}: {other} + {1}
{0[1]} = lambda {bound}: {gap} * {2}
print({0[0]}({2}), {0[1]}({1}))
"""

TEMPLATES = (
    _template("parameter", PARAMETER, (VARIABLE_CHOICES, FUNCTION_PAIRS, NUMBERS, NUMBERS)),
    _template(
        "other-function", OTHER_FUNCTION, (VARIABLE_CHOICES, FUNCTION_PAIRS, NUMBERS, NUMBERS)
    ),
    _template("comprehension", COMPREHENSION, (VARIABLE_CHOICES, NUMBERS, NUMBERS)),
    _template("deleted", DELETED, (VARIABLE_CHOICES, NUMBERS, NUMBERS, NUMBERS)),
    _template("not-yet", NOT_YET, (VARIABLE_CHOICES, NUMBERS, NUMBERS, NUMBERS)),
    _template("handler", HANDLER, (VARIABLE_CHOICES, STRINGS)),
    _template("inner", INNER, (VARIABLE_CHOICES, FUNCTION_PAIRS, NUMBERS, NUMBERS)),
    _template("lambda", LAMBDA, (VARIABLE_CHOICES, FUNCTION_PAIRS, NUMBERS, NUMBERS)),
)
