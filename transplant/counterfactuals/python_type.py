"""Types in Python: the right text runs, the wrong one does to a value what its type cannot.

Every wrong text raises TypeError, or AttributeError where the type has no such method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from transplant.counterfactuals.names import NUMBERS, STRINGS, VARIABLE_CHOICES
from transplant.counterfactuals.template import GAP, Couple, Template, swapped

Names = tuple[str, str]


def _template(field: str, text: str, slots: tuple[Sequence[Any], ...], right: str) -> Template:
    """A template of code in which `{right}` has the type that the gap needs, and `{wrong}` not.

    Args:
        field: its name.
        text: of the code, with fields for both names and one for each further slot.
        slots: the pair of names, then what `{0}`, `{1}` and so on are.
        right: the type that is needed.
    """
    return Template(field, slots, _builder(text, right))


def _builder(text: str, right: str) -> Callable[..., Couple]:
    def build(names: Names, *others: Any) -> Couple:
        one, other = names
        contexts = (
            text.format(*others, right=one, wrong=other, gap=GAP),
            text.format(*others, right=other, wrong=one, gap=GAP),
        )
        return swapped(contexts, names, (right, right))

    return build


TEMPLATES = (
    _template(
        "concatenation", '{right} = "{0}"\n{wrong} = {1}\nprint({gap} + "!")\n',
        (VARIABLE_CHOICES, STRINGS, NUMBERS), "str",
    ),
    _template(
        "sum", '{wrong} = "{0}"\n{right} = {1}\nprint({gap} + {2})\n',
        (VARIABLE_CHOICES, STRINGS, NUMBERS, NUMBERS), "int",
    ),
    _template(
        "length", '{right} = "{0}"\n{wrong} = {1}\nprint(len({gap}))\n',
        (VARIABLE_CHOICES, STRINGS, NUMBERS), "str",
    ),
    _template(
        "iteration",
        "{right} = [{0}, {1}]\n{wrong} = {2}\nfor number in {gap}:\n    print(number)\n",
        (tuple(names for names in VARIABLE_CHOICES if "number" not in names), NUMBERS, NUMBERS,
         NUMBERS), "list",
    ),
    _template(
        "subscript", "{wrong} = {0}\n{right} = [{1}, {2}]\nprint({gap}[0])\n",
        (VARIABLE_CHOICES, NUMBERS, NUMBERS, NUMBERS), "list",
    ),
    _template(
        "call", "{wrong} = {0}\n\n\ndef {right}():\n    return {1}\n\n\nprint({gap}())\n",
        (VARIABLE_CHOICES, NUMBERS, NUMBERS), "function",
    ),
    _template(
        "append", "{right} = [{0}]\n{wrong} = ({0}, {1})\n{gap}.append({2})\nprint({right})\n",
        (VARIABLE_CHOICES, NUMBERS, NUMBERS, NUMBERS), "list",
    ),
    _template(
        "string-method", '{wrong} = {0}\n{right} = "{1}"\nprint({gap}.upper())\n',
        (VARIABLE_CHOICES, NUMBERS, STRINGS), "str",
    ),
    _template(
        "arguments",
        "def {right}(one):\n    return one + {0}\n\n\ndef {wrong}(one, two):\n"
        "    return one + two + {1}\n\n\nprint({gap}({2}))\n",
        (VARIABLE_CHOICES, NUMBERS, NUMBERS, NUMBERS), "one argument",
    ),
)  # fmt: skip
