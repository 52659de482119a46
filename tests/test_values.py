"""Values of options: what is read from text, and what manifests record."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from transplant.errors import InputError
from transplant.values import named_paths, parse_count, parse_names, plain_values, words_in


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("50000", 50_000),
        ("200k", 200_000),
        ("2M", 2_000_000),
        ("1.5k", 1500),
        ("1_000", 1000),
        ("9007199254740993", 9_007_199_254_740_993),  # no float: it would end in 2
    ],
)
def test_a_count_may_be_short(text: str, number: int) -> None:
    assert parse_count("tokens", text) == number


@pytest.mark.parametrize("text", ["0", "-5", "k", "_k", "12z", "", "inf", "9" * 400])
def test_what_is_no_count_is_refused_by_the_name_of_the_parameter(text: str) -> None:
    with pytest.raises(InputError, match="`tokens`: expected a number as 50000"):
        parse_count("tokens", text)


def test_none_is_a_count_where_that_may_be() -> None:
    assert [parse_count("curve", text, least=0) for text in ("0", "0k", "4k")] == [0, 0, 4000]
    with pytest.raises(InputError):
        parse_count("curve", "-1", least=0)


def test_paths_are_given_once_for_each_name() -> None:
    field = named_paths("general")
    assert field.parse is not None
    assert field.parse(["a=x", "b=y=z"]) == {"a": "x", "b": "y=z"}
    for given in (["a"], ["=x"], ["a="], ["a=x", "a=y"]):
        with pytest.raises(InputError, match="`general`: expected NAME=PATH once"):
            field.parse(given)


def test_names_stand_between_commas() -> None:
    assert parse_names(" a, b ,,c") == ("a", "b", "c")
    assert parse_names(r"./my\, own@a,b\,,c") == ("./my, own@a", "b,", "c")


def test_values_are_recorded_as_json_holds_them_and_every_word_is_found() -> None:
    values = {"out": Path("a/b"), "pair": (Path("c"), 1), "n": 2, "none": None}
    assert plain_values(values) == {"out": "a/b", "pair": ["c", 1], "n": 2, "none": None}
    assert [*words_in(values)] == ["a/b", "c"]


def test_options_are_read_without_a_command_line_and_without_torch() -> None:
    program = (
        "import sys; import transplant.descriptions, transplant.options, transplant.values; "
        "loaded = {'typer', 'rich', 'torch'} & set(sys.modules); assert not loaded, loaded"
    )
    assert subprocess.run([sys.executable, "-c", program], check=True).returncode == 0
