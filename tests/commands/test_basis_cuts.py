"""`abi basis adapt --compress`: a backbone of fewer directions, as a folder of its own."""

from __future__ import annotations

import json

import pytest
import torch

import transplant
from registry.store import Registry
from tests.commands.test_bad_input import assert_refused
from transplant import memory
from transplant.tables.basis import compress_table
from transplant.tables.words import plain
from transplant.workflows.basis import compress

FIT = ("--tokens", "3k", "--window", "64")


@pytest.fixture(scope="module")
def whole(trained_abi, corpus):
    """A registry with the basis `to-cut` of all directions of every map, and `few` of 16."""
    for name, most in (("to-cut", "48"), ("few", "16")):
        words = ("basis", "fit", "--backbone", "tiny-llama", "--data", corpus, *FIT)
        ran = trained_abi(*words, "--max-rank", most, "--name", name, "--json")
        assert ran.code == 0, ran.err
    return trained_abi


@pytest.mark.parametrize(("before", "score"), [("fisher", "energy"), ("energy", "fisher")])
def test_a_cut_backbone_is_a_folder_of_its_own(whole, tmp_path, before, score):
    abi, out = whole, tmp_path / "cut"
    for name in (before, score):  # the last allocation says what directions are worth
        scored = ("--budget", "600", "--tokens", "1k", "--score", name, "--json")
        assert abi("basis", "allocate", "to-cut@tiny-llama", *scored).code == 0
    words = ("--compress", "0.6", "--out", str(out), "--eval-tokens", "600", "--json")
    ran = abi("basis", "adapt", "to-cut@tiny-llama", *words)
    assert ran.code == 0, ran.err
    assert ran.json["score"] == score
    sizes = ran.json["parameters"]
    assert 0.5 * sizes["maps"] < sizes["kept"] <= 0.6 * sizes["maps"]
    cut = transplant.load(str(out), library=Registry.open(abi.root))
    name, rank = next(iter(ran.json["ranks"].items()))
    weight = cut.backbone.model.get_submodule(name).weight.double()
    assert torch.linalg.matrix_rank(weight, rtol=1e-5) == rank
    raw = transplant.load("tiny-llama", library=Registry.open(abi.root)).backbone.model.state_dict()
    shapes = {name: one.shape for name, one in cut.backbone.model.state_dict().items()}
    assert shapes == {name: one.shape for name, one in raw.items()}
    assert any("dense" in plain(note) for note in compress_table(ran.json).notes)
    assert_refused(abi("basis", "adapt", "to-cut@tiny-llama", *words), "exists already")
    few = ("--compress", "0.01", "--out", str(tmp_path / "few"), "--json")
    said = assert_refused(abi("basis", "adapt", "to-cut@tiny-llama", *few), "--compress")
    assert "budget" not in json.dumps(said)
    more = ("--compress", "0.95", "--out", str(tmp_path / "more"), "--eval-tokens", "600")
    sizes = abi("basis", "adapt", "to-cut@tiny-llama", *more, "--json").json["parameters"]
    assert 0.9 * sizes["maps"] < sizes["kept"] <= 0.95 * sizes["maps"]


def test_a_cut_by_too_few_directions_is_refused_before_the_work(whole, tmp_path):
    abi = whole
    words = ("--compress", "0.95", "--out", str(tmp_path / "cut"), "--json")
    ran = abi("basis", "adapt", "few@tiny-llama", *words)
    assert_refused(ran, "--max-rank 19")  # 19 (48 + 32) < 48 * 32
    assert "abi basis fit" in ran.json["hint"]
    assert not (tmp_path / "cut").exists()


def test_a_cut_that_memory_does_not_hold_is_refused_before_the_work(whole, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(compress, "read_as_needed", lambda *_, **__: read.append("text"))
    monkeypatch.setattr(memory, "available_bytes", lambda: 50_000)
    words = ("--compress", "0.6", "--out", str(tmp_path / "cut"), "--json")
    ran = whole("basis", "adapt", "to-cut@tiny-llama", *words)
    assert_refused(ran, "a cut of tiny-llama does not fit into memory", "a copy of its weights")
    assert not read
    assert not (tmp_path / "cut").exists()
