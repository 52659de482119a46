"""Configurations of the library as options of a verb, and what the help says of them."""

from __future__ import annotations

import functools
import inspect
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typer

from commands.app import app
from commands.options.groups import parameters_of
from commands.verb_help import VerbCommand
from commands.verb_table import VERBS, find_verb
from transplant.descriptions import descriptions_of
from transplant.errors import InputError
from transplant.options import Field, Fields, described_by, grouped, options_of
from transplant.validation import Bounds, Count, check_bounds


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How something is made."""

    steps: Count = 7
    """Steps at most;
    two lines say so."""
    learning_rate: float = 0.5
    """peak rate"""
    widths: tuple[int, ...] = (1, 2)
    """Widths, of which `steps` is none."""
    names: tuple[str, ...] = ("a",)
    """Names."""
    private: int = 1
    """No option."""
    seed: int = 0
    """Of every draw."""

    def __post_init__(self) -> None:
        check_bounds(self)


def widths_of(text: str) -> tuple[int, ...]:
    """Numbers between plus signs."""
    return tuple(map(int, text.split("+")))


BEFORE = {
    "transfer": [("donor", "tuned"), ("student", "students"), ("lora_rank", "lora_alpha"),
                 ("data", "text_free"), ("curve", "steps")],
    "export": [("form", "code"), ("push", "public")],
    "basis allocate": [("budget", "budget_like")],
}  # fmt: skip
"""Options of which the second is said in terms of the first."""
WIDTHS = Field(of="widths", parse=widths_of, show=lambda given: "+".join(map(str, given)))


@described_by("evidence.uq.measure_uncertainty")
def verb(
    session: Any,
    *,
    model: str,
    nowhere: Annotated[int, Bounds(0, 9)] = 3,
    recipe: Annotated[
        Recipe,
        Fields("steps names seed", w=WIDTHS, rate=Field(of="learning_rate", low=0.1)),
    ],
    deep: bool = False,
) -> None:
    """Takes all kinds of options."""


def option_of(parameter) -> Any:
    return parameter.annotation.__metadata__[0]


def test_a_configuration_gives_one_option_for_each_field_that_is_named():
    found = {parameter.name: parameter for parameter in parameters_of(verb)}
    assert {*found} == {"model", "nowhere", "steps", "names", "w", "rate", "deep"}  # no seed
    assert found["model"].default is found["model"].empty  # an option that must be given
    defaults = {name: one.default for name, one in found.items() if name != "model"}
    assert defaults == {
        "nowhere": 3, "steps": 7, "names": None, "w": "1+2", "rate": 0.5, "deep": False,
    }  # fmt: skip
    bounds = {name: (option_of(one).min, option_of(one).max) for name, one in found.items()}
    assert (bounds["steps"], bounds["nowhere"], bounds["rate"]) == ((1, None), (0, 9), (0.1, None))
    assert {bounds[name] for name in ("model", "names", "w")} == {(None, None)}  # controls


def test_options_stand_in_the_order_of_the_fields_however_they_are_named():
    """ "In place of it", "the same": an option is said in terms of the one before it."""
    of_verb = [parameter.name for parameter in parameters_of(verb)]
    assert of_verb == ["model", "nowhere", "steps", "rate", "w", "names", "deep"]
    for name in ("transfer", "export", "basis allocate"):
        order = [option.name for option in options_of(find_verb(name))]
        for first, then in BEFORE[name]:
            assert order.index(first) < order.index(then), (name, first, then)


def test_what_was_given_becomes_a_configuration_with_the_seed_of_the_run():
    given = {
        "model": "m", "nowhere": 3, "steps": 9, "names": None, "w": "4+5", "rate": 0.25,
        "deep": True,
    }  # fmt: skip
    taken = grouped(verb, given, {"seed": 11})
    assert taken["recipe"] == Recipe(steps=9, learning_rate=0.25, widths=(4, 5), seed=11)
    assert {name: taken[name] for name in ("model", "nowhere", "deep")} == {
        "model": "m", "nowhere": 3, "deep": True,
    }  # fmt: skip
    named = grouped(verb, given | {"names": ["x", "y"]}, {"seed": 0})["recipe"].names
    assert named == ("x", "y")
    with pytest.raises(InputError, match="`steps`: expected at least 1"):
        grouped(verb, given | {"steps": 0}, {"seed": 0})


def test_descriptions_are_those_of_the_library_and_a_flag_is_called_by_its_name():
    assert descriptions_of(verb) | {"data": ""} == {
        **descriptions_of(verb),
        "steps": "Steps at most; two lines say so.",
        "rate": "Peak rate.",
        "w": "Widths, of which `steps` is none.",
        "data": "",
    }
    command = typer.Typer()
    command.command(cls=VerbCommand)(with_options(verb))
    shown = help_of(typer.main.get_command(command))
    assert "Widths, of which --steps is none." in shown
    assert "The hosted model." in shown
    assert "private" not in shown


def with_options(function: Any) -> Any:
    """A command of a verb, as `as_command` makes them."""

    @functools.wraps(function)
    def command(**values: Any) -> None:
        del values

    own = parameters_of(function)
    command.__signature__ = inspect.Signature(own)  # pyright: ignore[reportAttributeAccessIssue]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in own}
    return command


@functools.cache
def abi() -> Any:
    """The whole command."""
    return typer.main.get_command(app)


def help_of(command: Any) -> str:
    """What `--help` prints, on lines that are never broken."""
    context = command.make_context("abi", [], resilient_parsing=True)
    return " ".join(command.get_help(context).split())


@pytest.mark.parametrize("name", [name for names in VERBS.values() for name in names])
def test_the_help_of_a_verb_leaves_no_option_without_words(name):
    command = abi()
    for word in name.split():
        command = command.commands[word]
    help_of(command)
    silent = [option.name for option in command.params if not getattr(option, "help", None)]
    assert not silent


def test_an_option_that_nothing_describes_is_noticed():
    assert "nowhere" not in descriptions_of(verb)
    with pytest.raises(LookupError, match="has no nothing"):
        descriptions_of(described_by("evidence.uq.nothing")(lambda: None))


def test_descriptions_are_read_without_what_they_describe():
    program = (
        "import sys; from transplant.descriptions import descriptions_of; "
        "from commands.verb_table import find_verb; "
        "assert descriptions_of(find_verb('uq'))['model'] == 'The hosted model.'; "
        "assert 'transplant.evidence.uq' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program], check=True).returncode == 0
