"""The next call is one of Python: facts as its values, what is not known in capitals."""

from __future__ import annotations

import ast

import pytest

from transplant.workflows.next_steps import NEXT, next_call


def test_facts_of_the_run_are_values_and_what_is_not_known_stands_in_capitals():
    trained = next_call("train", {"backbone": "tiny"}, {"name": "law@tiny"})
    assert str(trained) == "`transfer(module='law@tiny', to='OTHER_BACKBONE')`"
    assert str(next_call("train", {}, None)) == "`transfer(module='NAME', to='OTHER_BACKBONE')`"
    quoted = next_call("cfgen", {"out": "it's {model}"}, {})
    assert str(quoted) == """`cfeval(model='MODEL', pairs="it's {model}")`"""


def test_what_has_passed_goes_on_and_what_has_not_is_looked_at():
    model = {"model": "law@tiny", "kind": "module"}
    assert str(next_call("validate", model, {"pass": True})) == "`export('law@tiny', 'DIR')`"
    assert str(next_call("validate", model, {"pass": False})) == "`show('law@tiny')`"


def test_code_that_is_no_call_of_a_verb_stays_code():
    loaded = next_call("export", {}, {"form": "lora", "out": "dir"})
    peft = "AutoPeftModelForCausalLM"
    assert str(loaded) == f"`from peft import {peft}; {peft}.from_pretrained('dir')`"


@pytest.mark.parametrize("verb", NEXT)
def test_every_next_call_is_python(verb):
    text = str(next_call(verb, {}, {"out": "dir"}))
    ast.parse(text.strip("`"))
    with pytest.raises(KeyError):
        next_call(f"no-{verb}", {}, {})
