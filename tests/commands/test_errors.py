"""Errors of the library on the command line: parameters become flags, calls become commands."""

from __future__ import annotations

import pytest

from commands.errors import flags_of, in_flags
from commands.output import Output
from commands.verb_table import find_verb
from transplant.errors import InputError


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("a smaller `learning_rate`", "a smaller --learning-rate"),
        ("`window=512`", "--window 512"),
        ("`capture(data='my text', out='FILE')`", "abi capture --data 'my text' --out FILE"),
        ("`show('ref-gpt2')`, or `list()`", "abi show ref-gpt2, or abi list"),
        ("`rm('x@y', yes=True)`", "abi rm x@y --yes"),
        ("`list_(kind='module')`", "abi list --kind module"),
        ("`tokenize_align(source='a', to='b')`", "abi tokenize-align --from a --to b"),
        ("`activations` of this file", "--from-activations of this file"),
        ("`capture(..., resume=True)`", "abi capture ... --resume"),
        ("`extract(layers=...)`", "abi extract --layers ..."),
        ("`backbone='a (b)'`", "--backbone 'a (b)'"),
        ("`adapters(source='FOLDER')`", "abi adapters --import FOLDER"),
        ("`bridge_train(activations='x.h5')`", "abi bridge-train --activations x.h5"),
        ("`invariance(train_interface=False)`", "abi invariance --freeze-interface"),
        ("the `donor` and `x = y @ W`", "the `donor` and `x = y @ W`"),
    ],
)
def test_a_hint_of_the_library_is_typed_as_a_command(said: str, typed: str) -> None:
    error = InputError("what", hint=said)
    shown = in_flags(error, flags_of(find_verb("train")))
    assert (shown.hint, type(shown)) == (typed, InputError)
    assert str(shown) == f"what. Try: {typed}"
    assert error.hint == said  # what Python sees stays


def test_a_flag_is_the_one_that_the_verb_declares() -> None:
    assert flags_of(find_verb("paste"))["source"] == "--from"
    assert flags_of(find_verb("calibrate"))["activations"] == "--from-activations"


def test_a_warning_is_typed_too(capsys: pytest.CaptureFixture[str]) -> None:
    Output().warn("it is broken. Try: `rm('x@y', kind='module')`")
    assert "Try: abi rm x@y --kind module" in capsys.readouterr().err
