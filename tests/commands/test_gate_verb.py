"""abi gate: an artifact of its own, hosted with its module, gone with it."""

from __future__ import annotations

import random

import pytest

from tests.tiny_registry import put_corpus


@pytest.fixture(scope="module")
def sums(tmp_path_factory) -> str:
    """Text that looks like no sentence."""
    draw = random.Random(0)
    texts = tuple(
        " ".join(f"{draw.randint(0, 99)}+{draw.randint(0, 99)}=?;" for _ in range(60))
        for _ in range(60)
    )
    return put_corpus(tmp_path_factory.mktemp("corpus") / "sums", texts)


def test_a_gate_is_stored_hosted_and_removed_with_its_module(abi, sums):
    import torch

    import transplant
    from registry.store import Registry

    assert abi.train("tiny-gpt2").code == 0
    words = ("gate", "--module", "tales@tiny-gpt2", "--general", sums, "--eval-tokens", "2000")
    ran = abi(*words, "--most-worse", "2", "--tokens", "4000", "--json")
    assert ran.code == 0, ran.err
    found = ran.json
    assert set(found["ppl"]) == {"domain", "general"}
    general = found["ppl"]["general"]
    assert found["general_worsens"] == pytest.approx(100 * (general["gated"] / general["raw"] - 1))
    assert abs(found["general_worsens"]) < abs(found["general_worsens_ungated"])
    registry = Registry.open(abi.root)
    entry = registry.find("gate", "tales", "tiny-gpt2")
    module = registry.find("module", "tales", "tiny-gpt2")
    assert entry.manifest.parents["module"] == module.manifest.sha256
    assert "gate" in abi("list", "--json").out

    model = transplant.load("tales@tiny-gpt2", library=registry)
    assert model.gate is not None
    ids = model.tokenizer("12+7=?;3+88=?;9+14=?;", return_tensors="pt").input_ids
    gated = model(input_ids=ids).logits
    model.gate = None
    assert not torch.equal(gated, model(input_ids=ids).logits)

    again = abi(*words, "--json")
    assert again.code == 1
    assert "already" in again.json["what"]
    assert abi.train("tiny-gpt2", "--seed", "1", "--replace").code == 0  # another z: no gate
    assert transplant.load("tales@tiny-gpt2", library=registry).gate is None
    assert abi(*words, "--quiet").code == 0
    assert abi("rm", "tales@tiny-gpt2", "--yes").code == 0
    assert registry.entries("gate") == []


def test_what_takes_no_gate_is_refused(trained_abi, sums):
    def refused(*words):
        ran = trained_abi("gate", *words, "--json")
        assert ran.code == 1
        return ran.json["what"]

    assert "raw backbone" in refused("--module", "tiny-gpt2", "--general", sums)
    assert "is the domain" in refused(
        "--module", "tales@tiny-gpt2", "--general", trained_abi.corpus
    )
