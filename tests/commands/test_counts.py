"""Whole numbers with a unit, as `--tokens 100k`, on every verb."""

from __future__ import annotations

import inspect

import pytest
import typer
from typer.testing import CliRunner

from commands.options.counts import as_typed
from commands.options.groups import parameters_of
from commands.session import as_command
from commands.verb_table import VERBS, find_verb

runner = CliRunner()
NAMES = [name for names in VERBS.values() for name in names]


def read_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, dict]:
    """What a run of `abi train` is given, and how it ends."""
    seen = {}
    monkeypatch.setattr(
        "commands.session.run_verb", lambda _, values, *__, **___: seen.update(values)
    )
    app = typer.Typer()
    app.command()(as_command("train"))
    end = runner.invoke(app, ["--backbone", "ref-gpt2", "--domain", "python", *words])
    return end.exit_code, seen


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("100k", 100_000),
        ("1.5K", 1500),
        ("2M", 2_000_000),
        ("50000", 50_000),
        ("1_000", 1000),
        ("16,000", 16_000),
    ],
)
def test_a_count_may_have_a_unit(monkeypatch, typed, number):
    code, values = read_of(monkeypatch, "--tokens", typed)
    assert code == 0
    assert (values["tokens"], type(values["tokens"])) == (number, int)


@pytest.mark.parametrize("typed", ["k", "1kk", "many", "-1k", "0k", "1.5", "1,5", "1,5000"])
def test_what_is_no_count_is_refused(monkeypatch, typed):
    code, values = read_of(monkeypatch, "--tokens", typed)
    assert (code, values) == (2, {})


def test_bounds_hold_of_the_number_that_is_meant(monkeypatch):
    assert read_of(monkeypatch, "--eval-tokens", "0.01k")[0] == 2  # 10: below the least, 64
    assert read_of(monkeypatch, "--eval-tokens", "0.1k")[1]["eval_tokens"] == 100


@pytest.mark.parametrize("name", NAMES)
def test_every_whole_number_of_every_verb_takes_a_unit(name):
    """Only its type as the command line reads it changes: recipes and forms see an integer."""
    for parameter in parameters_of(find_verb(name)):
        typed = as_typed(parameter)
        kind = typing_of(parameter)
        assert (typed.annotation == parameter.annotation) == (kind not in (int, int | None))
        assert (typed.default, typed.name) == (parameter.default, parameter.name)


@pytest.mark.parametrize("name", ["fit", "allocate", "adapt", "compare"])
def test_counts_of_a_basis_are_whole_numbers_as_those_of_other_verbs(name):
    kinds = {one.name: typing_of(one) for one in parameters_of(find_verb(f"basis {name}"))}
    assert kinds["tokens"] is int
    assert kinds.get("budget", int | None) == int | None


def typing_of(parameter: inspect.Parameter) -> object:
    return getattr(parameter.annotation, "__origin__", parameter.annotation)
