"""A basis of gradients through the verbs: fitted, ranked by widths, trained inside, handed on."""

from __future__ import annotations

import json

import pytest
from safetensors.torch import load_file

import transplant
from registry.store import Registry
from tests.commands.basis_runs import FIT, fit_named
from tests.commands.test_bad_input import assert_refused
from transplant.basis import descent
from transplant.errors import InputError
from transplant.workflows.basis import fit

GRADIENTS = ("--directions", "gradients")
NAME = "g@tiny-llama"


@pytest.fixture(scope="module")
def fitted(trained_abi, corpus):
    """A registry with the basis `g` of gradients of tiny-llama, and the report."""
    return fit_named(trained_abi, corpus, "g", *GRADIENTS, "--retain", corpus)


@pytest.fixture(scope="module")
def allocated(fitted):
    """The same with ranks, and the report."""
    abi, _ = fitted
    ran = abi("basis", "allocate", NAME, "--budget-like", "lora:r=2", "--json")
    assert ran.code == 0, ran.err
    return abi, ran.json


def test_a_fit_says_what_its_directions_are_of(fitted, corpus):
    _, report = fitted
    assert report["directions_of"] == "gradients"
    assert report["retain"]["corpus"] == corpus
    assert report["maps"] == 14
    assert report["directions"] == 14 * 16


def test_ranks_go_by_the_widths_of_maps(allocated):
    _, report = allocated
    assert report["score"] == "widths"
    wide = {row["type"]: row["rank"] for row in report["maps"] if row["layer"] == 0}
    assert wide["mlp.down_proj"] > wide["mlp.up_proj"] > 0  # 48 -> 32 against 32 -> 48
    assert 0.95 * report["budget"] < report["parameters"] <= report["budget"]


@pytest.mark.filterwarnings("ignore::FutureWarning")  # PEFT's own
def test_an_adapter_inside_it_learns_is_hosted_and_loaded_by_peft(allocated, corpus, tmp_path):
    peft = pytest.importorskip("peft")
    abi, ranks = allocated
    words = ("--domain", "tales", "--data", corpus, "--forget", corpus, "--name", "gt",
             "--steps", "12", "--batch", "2", "--window", "64", "--tokens", "6k",
             "--calibration-tokens", "600", "--eval-tokens", "600", "--learning-rate", "0.02",
             "--evaluate-every", "6", "--peft", str(tmp_path / "lora"))  # fmt: skip
    ran = abi("basis", "adapt", NAME, *words, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["parameters"] == ranks["parameters"]
    assert ran.json["losses"]["domain"]["difference"] < 0
    assert ran.json["logits_at_step_0"] == 0
    assert json.loads((tmp_path / "lora" / "adapter_config.json").read_text())["rank_pattern"]
    assert load_file(tmp_path / "lora" / "adapter_model.safetensors")
    hosted = transplant.load("gt@tiny-llama", library=Registry.open(abi.root))
    base = transplant.load("tiny-llama", library=Registry.open(abi.root))
    ids = hosted.tokenizer("a tale of two models", return_tensors="pt").input_ids
    ours = hosted(ids).logits
    assert (ours - base(ids).logits).abs().max() > 1e-3  # the control: it does something
    theirs = peft.PeftModel.from_pretrained(base.backbone.model, tmp_path / "lora")
    assert (theirs(ids).logits - ours).abs().max() < 1e-4


def test_a_fit_layer_by_layer_is_the_same_and_goes_on_where_its_store_failed(
    fitted, corpus, monkeypatch
):
    abi, whole = fitted
    words = ("basis", "fit", "--backbone", "tiny-llama", "--data", corpus, *FIT, *GRADIENTS,
             "--retain", corpus, "--layer-at-a-time", "--json")  # fmt: skip

    def full(*_args, **_options):
        raise InputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(fit, "store_basis", full)
        assert_refused(abi(*words, "--name", "far"), "the disk is full")
    assert [*abi.root.rglob("*.layers")]

    def again(*_args):
        raise AssertionError("read again")

    monkeypatch.setattr(descent, "_run_down", again)
    ran = abi(*words, "--name", "far")
    assert ran.code == 0, ran.err
    for of, row in ran.json["types"].items():
        assert row == pytest.approx(whole["types"][of], abs=1)  # mean ranks of shares of energy
    same = ("directions_of", "retain", "maps", "rows", "directions")
    assert {name: ran.json[name] for name in same} == {name: whole[name] for name in same}
    assert not [*abi.root.rglob("*.layers")]
    ranks = [abi("basis", "allocate", name, "--budget-like", "lora:r=2", "--json").json["ranks"]
             for name in (NAME, "far@tiny-llama")]  # fmt: skip
    assert ranks[0] == ranks[1]


def test_what_a_run_layer_by_layer_cannot_do_is_refused(fitted, corpus):
    abi, _ = fitted
    words = ("basis", "fit", "--data", corpus, "--name", "h", *FIT, *GRADIENTS,
             "--retain", corpus, "--layer-at-a-time", "--json")  # fmt: skip
    assert_refused(abi(*words, "--backbone", "tiny-t5"), "decoder-only")
    few = ("--tokens", "9", "--window", "16", "--max-rank", "48")
    assert_refused(abi(*words, "--backbone", "tiny-llama", *few), "too few tokens")
    assert not [*abi.root.rglob("*.layers")]


def test_what_belongs_to_outputs_is_refused(fitted, corpus, tmp_path):
    abi, _ = fitted
    fisher = abi("basis", "allocate", NAME, "--budget", "600", "--score", "fisher", "--json")
    assert_refused(fisher, "directions of outputs")
    out = str(tmp_path / "cut")
    cut = abi("basis", "adapt", NAME, "--compress", "0.8", "--out", out, "--data", corpus, "--json")
    assert_refused(cut, "--directions outputs")
    words = ("basis", "fit", "--backbone", "tiny-llama", "--data", corpus, "--name", "h", *FIT)
    assert_refused(abi(*words, "--directions", "inputs", "--json"), "outputs, gradients")
    assert_refused(abi(*words, "--retain", corpus, "--json"), "--retain", "gradients")
    few = ("--retain", corpus, "--tokens", "9", "--window", "16", "--max-rank", "48")
    assert_refused(abi(*words, *GRADIENTS, *few, "--json"), "too few tokens")
