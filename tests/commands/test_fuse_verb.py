"""abi fuse on tiny backbones and real files: stored, hosted, judged, refused and gone again."""

from __future__ import annotations

import pytest

from tests.tiny_registry import put_corpus

BUDGET = ("--steps", "10", "--window", "32", "--tokens", "4000", "--eval-tokens", "800", "--json")


@pytest.fixture
def fusing(abi, tmp_path):
    """A registry with modules of two texts on tiny-gpt2, and both texts."""
    numbers = tuple(" ".join(str((7 * n + k) ** 2 % 997) for k in range(150)) for n in range(60))
    other = put_corpus(tmp_path / "numbers", numbers)
    assert abi.train("tiny-gpt2").code == 0
    assert abi.train("tiny-gpt2", "--data", other, "--name", "numbers").code == 0
    return abi, other


def test_modules_are_fused_hosted_and_gone_again(fusing):
    import torch

    import transplant
    from registry.store import Registry
    from transplant.errors import CorruptError

    abi, other = fusing
    members = ("tales@tiny-gpt2", "numbers@tiny-gpt2")
    library = Registry.open(abi.root)
    raw = transplant.load("tiny-gpt2", library=library)
    ids = raw.tokenizer("The ba cor with the fi 12 49", return_tensors="pt").input_ids
    before = raw(input_ids=ids).logits
    ran = abi("fuse", *members, *BUDGET)  # on what the modules were trained on
    assert ran.code == 0, ran.err
    said = ran.json
    assert (said["name"], said["layer"]) == ("fused@tiny-gpt2", 1)
    assert said["tried"].keys() == {"gate", "attention"}
    losses = {name: found["calibration_nats"] for name, found in said["tried"].items()}
    assert said["combiner"] == min(losses, key=losses.get)
    texts = {abi.corpus, other}
    assert said["tokens"].keys() == {*texts, "mix"}
    assert said["ppl"].keys() == {
        "raw", *members, "gate", "attention", "mean", "random_slot", "random_member",
        *(f"alone {member}" for member in members),
    }  # fmt: skip
    for weights in said["weights"].values():
        assert weights.keys() == texts
        assert all(own.keys() == {*members} for own in weights.values())
    assert said["frozen_unchanged"]
    assert said["frozen_sha256"].keys() == {"backbone", *members}
    entry = library.find("fusion", "fused", "tiny-gpt2", 0)
    parents = entry.manifest.parents
    assert (
        parents["module:tales/d16"]
        == library.find("module", "tales", "tiny-gpt2", 16).manifest.sha256
    )
    assert parents.keys() == {
        f"{kind}:{name}/d16" for kind in ("module", "interface") for name in ("tales", "numbers")
    }
    fused, again = (transplant.load("fused@tiny-gpt2", library=library) for _ in range(2))
    found = fused(input_ids=ids).logits
    assert torch.equal(again(input_ids=ids).logits, found)
    assert not torch.allclose(found, before, atol=1e-3)
    assert fused.generate(ids, max_new_tokens=3).shape[1] == ids.shape[1] + 3
    nib = ("nib", "--anchor", "tiny-gpt2", "--candidate", "fused@tiny-gpt2", "--data", abi.corpus,
           "--chunk-length", "40", "--skip", "4", "--json")  # fmt: skip
    assert abi(*nib).json["js"] > 1e-4
    assert abi("show", "fused@tiny-gpt2", "--json").json["kind"] == "fusion"
    assert abi("fuse", *members, *BUDGET).json["what"].endswith("already in the registry")
    abi.train("tiny-gpt2", "--replace", "--seed", "1")
    with pytest.raises(CorruptError, match="tales/d16 has changed since fused@tiny-gpt2"):
        transplant.load("fused@tiny-gpt2", library=library)
    assert abi("rm", "fused@tiny-gpt2", "--yes").code == 0
    assert not list(library.entries("fusion", "tiny-gpt2"))
    assert torch.equal(transplant.load("tiny-gpt2", library=library)(input_ids=ids).logits, before)


def test_injected_parts_of_one_block_are_fused_and_other_layers_are_refused(fusing):
    import torch

    import transplant
    from registry.store import Registry

    abi, other = fusing
    assert abi("extract", "--backbone", "tiny-llama", "--name", "bank").code == 0
    inject = ("inject", "--to", "tiny-gpt2", "--data", abi.corpus, "--excerpts", "20", "--start",
              "fit")  # fmt: skip
    for part, layer, name in (("ffn.0", "1", "a"), ("heads.1", "1", "b"), ("ffn.1", "0", "c")):
        words = ("--from", f"bank:{part}", "--layer", layer, "--name", name)
        assert abi(*inject, *words).code == 0
    texts = ("--data", abi.corpus, "--data", other)
    ran = abi("fuse", "--layer", "1", "a@tiny-gpt2", "b@tiny-gpt2", *texts, *BUDGET, "--combiner",
              "attention", "--learning-rate", "0.1", "--name", "parts")  # fmt: skip
    assert ran.code == 0, ran.err
    assert (ran.json["layer"], ran.json["combiner"]) == (1, "attention")
    assert ran.json["frozen_unchanged"]
    library = Registry.open(abi.root)
    one, two = (transplant.load("parts@tiny-gpt2", library=library) for _ in range(2))
    ids = one.tokenizer("The ba cor with the fi", return_tensors="pt").input_ids
    assert torch.equal(one(input_ids=ids).logits, two(input_ids=ids).logits)
    for words, said in (
        (("a@tiny-gpt2", "c@tiny-gpt2", *texts), "on one layer"),
        (("a@tiny-gpt2", "tales@tiny-gpt2", *texts), "on one layer"),
        (("a@tiny-gpt2", "b@tiny-gpt2"), "no text of its own"),
        (("a@tiny-gpt2", "b@tiny-gpt2", *texts, "--layer", "0"), "--layer"),
        (("a@tiny-gpt2", "a@tiny-gpt2", *texts), "of several modules"),
        (("a@tiny-gpt2", *texts), "of several modules"),
        (("a@tiny-gpt2", "tiny-gpt2", *texts), "of one backbone"),
        (("a@tiny-gpt2", "b@tiny-llama", *texts), "of one backbone"),
        (("a@tiny-gpt2", "nobody@tiny-gpt2", *texts), "no module nobody"),
        (("a@tiny-gpt2", "b@tiny-gpt2", *texts, "--combiner", "wood"), "--combiner"),
        (("a@tiny-gpt2", "b@tiny-gpt2", *texts, "--name", "a"), "already in the registry"),
    ):
        refused = abi("fuse", *words, *BUDGET)
        assert refused.code == 1
        assert said in refused.json["what"], refused.json
