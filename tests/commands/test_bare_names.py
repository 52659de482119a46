"""Verbs take a module by its name alone where one backbone hosts it; rm does not."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "tales", "--prompt", "The ba", "--max-new-tokens", "2"),
        ("perplexity", "tales", "--eval-tokens", "400"),
        ("show", "tales"),
    ],
)
def test_a_module_alone_is_taken(trained_abi, words):
    alone = trained_abi(*words, "--json")
    assert alone.code == 0, alone.err
    whole = trained_abi(*(f"{w}@tiny-gpt2" if w == "tales" else w for w in words), "--json")
    assert alone.json.keys() == whole.json.keys()


def test_what_is_removed_is_named_in_full(trained_abi):
    refused = trained_abi("rm", "tales", "--yes", "--json")
    assert refused.code == 1
    assert "tales@tiny-gpt2" in refused.json["hint"]
    assert "tales" in {row["name"] for row in trained_abi.rows()}


def test_a_backbone_that_is_a_module_is_refused_with_its_backbone(trained_abi):
    words = ("train", "--backbone", "tales", "--domain", "tales", "--data", trained_abi.corpus)
    refused = trained_abi(*words, "--json")
    assert refused.code == 1
    assert "tiny-gpt2" in refused.json["hint"]
