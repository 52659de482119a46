"""`abi adapters`: a LoRA becomes an artifact of its backbone, or a backbone of its own."""

from __future__ import annotations

import pytest
import torch

import transplant
from registry.store import Registry
from tests.surgery.lora.folders import gpt2_tensors, write_folder

IDS = torch.arange(20)[None]


@pytest.fixture
def folder(tmp_path):
    return str(write_folder(tmp_path / "law"))


@torch.no_grad()
def logits(abi, name):
    return transplant.load(name, library=Registry.open(abi.root))(input_ids=IDS).logits


def test_an_adapter_is_hosted_reloaded_and_gone_again(abi, folder):
    before = logits(abi, "tiny-gpt2")
    words = ("adapters", "--import", folder, "--to", "tiny-gpt2", "--json")
    ran = abi(*words)
    assert ran.code == 0, ran.err
    assert (ran.json["name"], ran.json["pairs"]) == ("law@tiny-gpt2", 2)
    assert (ran.json["ranks"], ran.json["scales"]) == ([2], [3.0])
    assert ran.json["trained_on"] == "somewhere"
    changed = logits(abi, "law@tiny-gpt2")
    assert ran.json["logits"]["largest_change"] > 1e-2
    assert not torch.allclose(changed, before, atol=1e-2)
    assert torch.equal(logits(abi, "law@tiny-gpt2"), changed)
    assert torch.equal(logits(abi, "tiny-gpt2"), before)
    assert abi(*words).code == 1  # taken
    assert abi(*words, "--replace").code == 0
    assert torch.equal(logits(abi, "law@tiny-gpt2"), changed)
    assert abi("show", "law@tiny-gpt2", "--verify", "--json").json["kind"] == "adapter"
    nib = abi("nib", "--anchor", "tiny-gpt2", "--candidate", "law@tiny-gpt2", "--data", abi.corpus,
              "--chunk-length", "40", "--skip", "4", "--json")  # fmt: skip
    assert nib.json["js"] > 1e-4
    assert abi("rm", "law@tiny-gpt2", "--yes").code == 0
    assert abi.rows("--kind", "adapter") == []
    assert torch.equal(logits(abi, "tiny-gpt2"), before)


def test_a_verb_of_modules_says_how_an_adapter_moves(abi, folder):
    assert abi("adapters", "--import", folder, "--to", "tiny-gpt2", "--json").code == 0
    for verb in ("transfer", "calibrate", "bridge-align"):
        own = ("--objective", "lm") if verb == "calibrate" else ()
        ran = abi(verb, "--module", "law@tiny-gpt2", "--to", "tiny-llama", *own, "--json")
        assert (ran.code, ran.json["found"]) == (1, "of the kind adapter")
        for words in ("--donor tiny-gpt2", "--tuned law@tiny-gpt2", "--to tiny-llama", "--domain"):
            assert words in ran.json["hint"]
    lost = abi("transfer", "--module", "la@tiny-gpt2", "--to", "tiny-llama", "--json")
    assert lost.json["what"] == "no module la@tiny-gpt2"  # control


def test_a_merge_is_a_backbone_with_its_provenance(abi, folder):
    words = ("adapters", "--import", folder, "--to", "tiny-gpt2", "--merge", "--name", "lawyer")
    ran = abi(*words, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["logits"]["merged_against_attached"] < 1e-4
    assert ran.json["logits"]["largest_change"] > 1e-2
    shown = abi("show", "lawyer", "--verify", "--json").json
    raw = abi("show", "tiny-gpt2", "--json").json
    assert shown["kind"] == "backbone"
    assert shown["parents"]["body"] == raw["backbone"]["weights_sha256"]
    assert shown["parents"]["lora_file"] == ran.json["weights_sha256"]
    assert abi("adapters", "--import", folder, "--to", "tiny-gpt2", "--json").code == 0
    found, expected = logits(abi, "lawyer"), logits(abi, "law@tiny-gpt2")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert abi(*words).code == 1  # taken


def test_another_base_is_warned_of_and_the_same_is_not(abi, tmp_path):
    for base, warned in (
        ("someone/tiny-gpt2-chat", True),
        ("/home/someone/Tiny_GPT2/", False),
        ("someone/tiny-gpt2", False),
        (None, False),
    ):
        folder = str(write_folder(tmp_path / "law", base_model_name_or_path=base))
        ran = abi("adapters", "--import", folder, "--to", "tiny-gpt2", "--replace")
        assert ran.code == 0, ran.err
        assert (f"was trained on {base}" in ran.err) == warned, base


def test_an_adapter_that_makes_no_number_is_not_stored(abi, tmp_path):
    tensors = {name: tensor * 1e30 for name, tensor in gpt2_tensors().items()}
    folder = str(write_folder(tmp_path / "law", tensors))
    for more in ((), ("--merge", "--name", "lawyer")):
        ran = abi("adapters", "--import", folder, "--to", "tiny-gpt2", *more, "--json")
        assert (ran.code, ran.json["error"]) == (1, "NumericalError"), ran.out
    assert abi.rows("--kind", "adapter") == []
    assert "lawyer" not in abi("list").out


def test_what_does_not_fit_is_refused_by_name(abi, tmp_path, folder):
    ran = abi("adapters", "--import", folder, "--to", "tiny-llama", "--json")
    assert (ran.code, ran.json["error"]) == (1, "InputError")
    assert "transformer.h.0.attn.c_attn.lora_A.weight" in ran.json["found"]
    wide = str(write_folder(tmp_path / "wide", gpt2_tensors(width=48)))
    ran = abi("adapters", "--import", wide, "--to", "tiny-gpt2", "--json")
    assert (ran.code, ran.json["error"]) == (1, "ShapeError")
    assert abi.rows("--kind", "adapter") == []
    assert abi("adapters", "--import", folder, "--to", "law@tiny-gpt2").code == 1
