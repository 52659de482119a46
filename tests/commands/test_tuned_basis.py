"""`abi transfer --donor --tuned` and adapters inside a basis: as the student, and as the donor."""

from __future__ import annotations

import json

import pytest
import torch

import transplant
from registry.store import Registry
from tests.commands.test_bad_input import assert_refused
from tests.commands.tuned_runs import tuned_registry

IDS = torch.arange(20)[None]


@pytest.fixture(scope="module")
def tuned_abi(tmp_path_factory, tiny_texts, tiny_corpus, corpus):
    """A registry of this file's own, and the words that move a LoRA to tiny-llama."""
    return tuned_registry(tmp_path_factory, tiny_texts, tiny_corpus, corpus)


def test_a_student_inside_a_basis_moves_c_alone_and_is_a_basis(tuned_abi, tmp_path):
    abi, words = tuned_abi
    fit = ("basis", "fit", "--backbone", "tiny-llama", "--data", abi.corpus, "--name", "dirs",
           "--tokens", "3k", "--window", "64", "--max-rank", "16", "--json")  # fmt: skip
    assert abi(*fit).code == 0
    inside = ("--student", "basis", "--basis", "dirs@tiny-llama", "--lora-steps", "4")
    early = abi(*words, "--name", "in", *inside)
    assert early.code == 1
    assert "has no ranks yet" in json.dumps(early.json)
    assert abi("basis", "allocate", "dirs@tiny-llama", "--budget-like", "lora:r=2", "--score",
               "energy", "--json").code == 0  # fmt: skip
    ran = abi(*words, "--name", "in", *inside)
    assert ran.code == 0, ran.err
    assert (ran.json["student"], ran.json["stored"]["kind"]) == ("basis", "basis")
    assert {"shuffled_lora", "untrained_lora"} <= ran.json["ppl"].keys()
    assert ran.json["ppl"]["candidate"] < ran.json["ppl"]["raw"]
    library = Registry.open(abi.root)
    basis = library.read(library.find("basis", "dirs", "tiny-llama"))
    own = library.read(library.find("basis", "in", "tiny-llama"))
    for name in (name for name in own if name.endswith(".U")):
        assert torch.equal(own[name], basis[name][:, : own[name].shape[1]])
    assert any(tensor.abs().max() > 0 for name, tensor in own.items() if name.endswith(".C"))
    hosted = transplant.load("in@tiny-llama", library=library)
    raw = transplant.load("tiny-llama", library=library)
    with torch.no_grad():
        assert not torch.equal(hosted(input_ids=IDS).logits, raw(input_ids=IDS).logits)
    shown = abi("show", "in@tiny-llama", "--verify", "--json").json
    assert shown["results"]["ppl"] == ran.json["ppl"]
    out = str(tmp_path / "out")
    gone = abi("export", "in@tiny-llama", out, "--as", "lora", "--json")
    assert (gone.code, gone.json["merges"]) == (0, True), gone.err
    alone = abi("export", "dirs@tiny-llama", f"{out}-2", "--as", "lora", "--json")
    assert_refused(alone, "is a basis alone")


def test_an_adapter_inside_a_basis_is_a_donor(tuned_abi):
    abi, words = tuned_abi
    name, text = "ends@tiny-gpt2", ("--data", abi.corpus)
    fit = ("--name", "ends", "--tokens", "3k", "--window", "64", "--max-rank", "16", "--json")
    assert abi("basis", "fit", "--backbone", "tiny-gpt2", *text, *fit).code == 0
    few = ("--budget", "600", "--score", "energy", "--json")
    assert abi("basis", "allocate", name, *few).code == 0
    learn = ("--steps", "12", "--batch", "2", "--window", "64", "--tokens", "6k", "--eval-tokens",
             "600", "--calibration-tokens", "600", "--learning-rate", "0.02", "--forget", "none",
             "--name", "t", "--json")  # fmt: skip
    adapted = abi("basis", "adapt", name, "--domain", "tales", "--domain-data", abi.corpus, *learn)
    assert adapted.code == 0, adapted.err
    moved = [*words]
    moved[moved.index("--tuned") + 1] = "t@tiny-gpt2"
    ran = abi(*moved, "--name", "of-basis", "--student", "linear")
    assert ran.code == 0, ran.err
    assert (ran.json["name"], ran.json["stored"]["kind"]) == ("of-basis@tiny-llama", "linear")
    assert ran.json["ppl"]["candidate"] < ran.json["ppl"]["raw"]
    whole = abi("show", "of-basis@tiny-llama", "--verify", "--json").json
    assert whole["parents"]["tuned"] == ran.json["tuned_sha256"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--student", "basis"), "--basis"),
        (("--student", "linear", "--basis", "dirs@tiny-llama"), "belongs to"),
        (("--student", "basis", "--basis", "x@tiny-gpt2"), "x@tiny-gpt2"),
        (("--student", "basis", "--basis", "dirs@tiny-llama", "--lora-rank", "3"), "belongs to"),
    ],
)
def test_a_basis_that_cannot_be_is_refused_before_the_work(tuned_abi, more, said):
    abi, words = tuned_abi
    ran = abi(*words, "--name", "no", *more)
    assert_refused(ran, said)
    assert "loading" not in ran.err
