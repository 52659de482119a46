"""Recipes: what is read of them, and what is refused by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from transplant.errors import InputError
from transplant.merging.recipe import Recipe, read_recipe

LINEAR = """\
models:
  - model: one
    parameters: {weight: 0.25}
  - model: two
    parameters:
      weight: [0.5, 1e-1]
merge_method: linear
base_model: one
"""
SLICED = """\
slices:
  - sources:
      - {model: one, layer_range: [0, 1]}
  - sources:
      - {model: "two+x@y", layer_range: [1, 2]}
    base_model: three
merge_method: passthrough
dtype: torch.float16
tokenizer: {source: union}
"""


def read(tmp_path, text: str) -> Recipe:
    (tmp_path / "r.yaml").write_text(text)
    return read_recipe(tmp_path / "r.yaml")


def test_models_are_named_once_and_replaced_everywhere(tmp_path):
    found = read(tmp_path, LINEAR)
    assert [(one.name, one.line) for one in found.references] == [("one", 2), ("two", 4)]
    there = found.with_folders({"one": Path("/a@b+c"), "two": Path("/d")})
    assert there["base_model"] == {"model": {"path": "/a@b+c"}} == there["models"][0]["model"]
    assert there["models"][1]["parameters"] == {"weight": [0.5, "1e-1"]}  # as mergekit reads it
    assert found.plain["models"][0] == {"model": "one", "parameters": {"weight": 0.25}}
    assert (found.method, found.dtype, found.has_slices) == ("linear", None, False)


def test_slices_and_their_bases_are_read_and_a_tokenizer_is_no_parent(tmp_path):
    found = read(tmp_path, SLICED)
    assert [one.name for one in found.references] == ["one", "two+x@y", "three"]
    there = found.with_folders({name: Path(name) for name in ("one", "two+x@y", "three")})
    assert "tokenizer" not in there
    assert there["slices"][1]["sources"][0]["model"] == {"model": {"path": "two+x@y"}}
    assert found.plain["tokenizer"] == {"source": "union"}
    assert (found.dtype, found.has_slices) == ("float16", True)
    by_module = "modules: {default: {slices: [{sources: [{model: one, layer_range: [0, 1]}]}]}}\n"
    assert read(tmp_path, f"{by_module}merge_method: passthrough\n").has_slices


BAD = {
    "": "the keys of a recipe, found nothing",
    "- a\n": "r.yaml:1: expected the keys of a recipe, found a sequence",
    "merge_method: [\n": "r.yaml:2 is no YAML",
    "merge_method: linear\n": "one of models, slices, modules, found none of them",
    LINEAR.replace("merge_method: linear\n", ""): "expected merge_method, such as linear",
    LINEAR + "modles: 1\n": "r.yaml:9: 'modles' in a recipe: expected one of models, slices",
    LINEAR
    + "base_model: two\n": "r.yaml:9: expected each key once, a word, found 'base_model', as",
    LINEAR + "chat_template: auto\n": "'chat_template' in a recipe",
    LINEAR + "tokenizer: {source: one, tokens: {x: {source: one}}}\n": "'tokens' in a vocabulary",
    LINEAR + "tokenizer_source: other\n": "r.yaml:9: the tokenizer of other",
    LINEAR + "slices: [{sources: [{model: one, layer_range: [0, 1]}]}]\n": "models and slices",
    LINEAR.replace("parameters: {", "paramters: {"): "r.yaml:3: 'paramters' in a model",
    LINEAR.replace("model: one", "model: {model: {path: one}}"): "r.yaml:2: a model: expected its",
    LINEAR.replace("model: one", "model: ''"): "r.yaml:2: a model: expected its name",
    LINEAR.replace("{weight: 0.25}", "!!python/object/apply:os.system ['true']"): "is no YAML",
    LINEAR.replace("{weight: 0.25}", "&ring [*ring]"): "r.yaml:3: too large a recipe",
    "models: []\nmerge_method: linear\n": "r.yaml:1: expected a list of models",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_recipe_is_refused_by_line(tmp_path, text):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert BAD[text] in str(caught.value)


def test_aliases_cannot_blow_a_recipe_up(tmp_path):
    rings = "\n".join(f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 9))
    with pytest.raises(InputError, match="too large a recipe"):
        read(tmp_path, f"{LINEAR}parameters:\n  l0: &l0 [1]\n{rings}\n")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the recipe .*none\.yaml"):
        read_recipe(tmp_path / "none.yaml")
