"""Verbs take a module by its name alone where one backbone hosts it; rm does not."""

from __future__ import annotations

import shutil

import pytest

from tests.commands.conftest import Abi


@pytest.fixture(scope="module")
def one_host(trained_abi, tmp_path_factory):
    """A registry in which tiny-gpt2 alone hosts a module of that name, whatever others have put."""
    root = tmp_path_factory.mktemp("one-host") / "registry"
    shutil.copytree(trained_abi.root, root)
    abi = Abi(root, trained_abi.corpus)
    for row in abi.rows():
        if row["name"] == "tales" and row["backbone"] != "tiny-gpt2":
            assert abi("rm", f"tales@{row['backbone']}", "--kind", row["kind"], "--yes").code == 0
    return abi


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "tales", "--prompt", "The ba", "--max-new-tokens", "2"),
        ("perplexity", "tales", "--eval-tokens", "400"),
        ("show", "tales"),
    ],
)
def test_a_module_alone_is_taken(one_host, words):
    alone = one_host(*words, "--json")
    assert alone.code == 0, alone.err
    whole = one_host(*(f"{w}@tiny-gpt2" if w == "tales" else w for w in words), "--json")
    assert alone.json.keys() == whole.json.keys()


def test_what_is_removed_is_named_in_full(one_host):
    refused = one_host("rm", "tales", "--yes", "--json")
    assert refused.code == 1
    assert "tales@tiny-gpt2" in refused.json["hint"]
    assert "tales" in {row["name"] for row in one_host.rows()}


def test_a_backbone_that_is_a_module_is_refused_with_its_backbone(one_host):
    words = ("train", "--backbone", "tales", "--domain", "tales", "--data", one_host.corpus)
    refused = one_host(*words, "--json")
    assert refused.code == 1
    assert "tiny-gpt2" in refused.json["hint"]
