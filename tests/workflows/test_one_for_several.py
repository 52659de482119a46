"""One text in the place of several is refused by its name: each character would be one of them."""

from __future__ import annotations

import inspect

import pytest

import transplant
from registry.store import Registry
from transplant.errors import InputError

SEVERAL = "Sequence[str]"
METHODS = {
    name: inspect.signature(method)
    for name, method in inspect.getmembers(transplant.Workspace, inspect.isfunction)
    if not name.startswith("_")
}
TAKES = [
    (name, parameter.name)
    for name, signature in METHODS.items()
    for parameter in signature.parameters.values()
    if str(parameter.annotation).startswith(SEVERAL)
]


@pytest.mark.parametrize(("method", "parameter"), [*TAKES, ("compare_basis", "methods")])
def test_one_text_for_several_is_refused_by_name(tmp_path, method, parameter):
    work = transplant.Workspace(library=Registry.open(tmp_path))
    needed = {
        one.name: "nothing" for one in METHODS[method].parameters.values()
        if one.default is one.empty and one.name != "self" and one.kind is not one.VAR_KEYWORD
    }  # fmt: skip
    several = {other: ["a", "b"] for name, other in TAKES if name == method and other in needed}
    with pytest.raises(InputError, match=f"`{parameter}`: expected several, as ..ab"):
        getattr(work, method)(**{**needed, **several, parameter: "ab"})


def test_there_are_such_parameters():
    assert {("perplexity", "models"), ("move_taught", "teachers"), ("generate", "prompts")} <= {
        *TAKES
    }
