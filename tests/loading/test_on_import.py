"""Hosted models in lm-eval's table of models: as soon as it is imported, where it has one."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from transplant.loading.on_import import HARNESS_MODEL, WAITING

NAME = "lm_eval.api.registry"


@pytest.mark.parametrize("has_table", [True, False])
def test_an_lm_eval_without_a_table_of_models_is_left_alone(monkeypatch, has_table):
    found, module = {}, ModuleType(NAME)
    if has_table:
        table = SimpleNamespace(register=lambda name, target: found.update({name: target}))
        module.model_registry = table  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, NAME, module)
    WAITING[NAME]()
    assert found == ({"abi": HARNESS_MODEL} if has_table else {})
