"""JSON that two readers could take for two things, or that no screen can show, is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from registry import Manifest, Registry
from tests.registry.stored import WEIGHTS
from transplant.errors import InputError
from transplant.files import strict_json


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "a": 1}', "'a' appears twice"),
        ('{"x": [{"a": 1, "b": 2, "a": 3}]}', "'a' appears twice"),
        ("NaN", "NaN"),
        ("[-Infinity]", "Infinity"),
        ("1e999", "double precision"),
        ("1" + "0" * 400, "64 bits"),
        ("1" + "0" * 9000, "64 bits"),
        ("-36893488147419103232", "64 bits"),
        ('["\\ud800"]', "surrogate"),
        ('{"\\uDFFF": 1}', "surrogate"),
        ("[" * 65 + "]" * 65, "deeper"),
        ("[" * 100_000 + "]" * 100_000, "deeper"),
        ('{"a":' * 900 + "1" + "}" * 900, "deeper"),
        ("", "Expecting value"),
    ],
)
def test_json_that_is_not_written_here_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        strict_json.parse(text)


@pytest.mark.parametrize(
    "value",
    [18446744073709551615, -1, 1.5e308, "\U0001f600 \x1b", [[]] * 64, {"a": {"b": None}}, True],
)
def test_everything_else_is_read_as_it_was_written(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert strict_json.parse(text) == value
    assert strict_json.parse("[" * 64 + "]" * 64)


@pytest.mark.parametrize("made", [{"a": "\ud800"}, {"a": 10**30}, {"a": [[[]]]}])
def test_what_cannot_be_read_back_is_not_written(
    store: Registry, make: Callable[..., Manifest], made: dict[str, object]
) -> None:
    if made["a"] == [[[]]]:
        for _ in range(70):
            made = {"a": made}
    with pytest.raises(InputError, match="python"):
        store.write(make(made=made), WEIGHTS)
    assert store.entries() == []


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "\ud800", "a\x00b", "\u202e"])
@pytest.mark.parametrize("field", ["domain", "license", "backbone"])
def test_text_that_steers_a_terminal_is_refused_in_what_is_listed(
    make: Callable[..., Manifest], field: str, text: str
) -> None:
    with pytest.raises(InputError, match=field):
        make(**{field: text})
    assert make(**{field: "büro"})
