"""Names that the grammars of Python share."""

from __future__ import annotations

from itertools import combinations, permutations

VARIABLES = (
    "amount", "answer", "buffer", "count", "data", "entry", "field", "first", "height", "index",
    "item", "key", "label", "length", "limit", "line", "message", "name", "number", "offset",
    "path", "price", "rate", "result", "score", "size", "start", "text", "title", "total",
    "value", "weight", "width", "word",
)  # fmt: skip
VARIABLE_CHOICES = tuple(combinations(VARIABLES, 2))
"""Two different ones in one order: a couple has both orders of them."""
FUNCTIONS = ("build", "check", "compute", "convert", "load", "prepare", "process", "read", "update")
FUNCTION_PAIRS = tuple(permutations(FUNCTIONS, 2))
NUMBERS = (2, 3, 4, 5, 7, 8, 12, 16)
STRINGS = ("alpha", "blue", "hello", "left", "north", "open", "river", "stone")
