"""The recipe of a native module, as it stands in the manifest of the module that is moved."""

from __future__ import annotations

from types import SimpleNamespace

from transplant.training.config import TrainConfig
from transplant.workflows.move.native import native_recipe_of


def test_the_type_of_products_is_found_under_its_earlier_name():
    recipes = ({"head_type": "float32", "taps": [0]}, {"matmul_type": "float32", "taps": [0]})
    for recipe in recipes:
        found = native_recipe_of(SimpleNamespace(made={"recipe": recipe}, hosted="tales@b"))
        assert found == TrainConfig(taps=(0,), matmul_type="float32")
