"""`abi cores`, `abi paste` and `abi verify` on small cores."""

from __future__ import annotations

import pytest
from safetensors.torch import load_file, save_file

from transplant.backbones.layercake.sizes import SIZES


@pytest.fixture
def pasted(abi):
    """`2M` and `5M` made untrained, with the module of one pasted into the other."""
    ran = abi("paste", "--from", "2M", "--to", "5M", "--init-missing", "3", "--json")
    assert ran.code == 0, ran.err
    return abi, ran.json


def test_cores_lists_every_size_with_its_true_count(abi):
    rows = {row["name"]: row for row in abi("cores", "--json").json}
    assert rows.keys() == SIZES.keys()
    assert rows["2M"]["parameters"] == 1_934_016
    assert not rows["2M"]["in_registry"]
    larger = abi("cores", "--vocab", "5000", "--json").json[0]["parameters"]
    assert larger - rows["2M"]["parameters"] == (5000 - 4096) * rows["2M"]["d_model"]


def test_a_missing_core_names_the_ways_on_and_writes_nothing(abi):
    before = sorted(abi.root.rglob("*"))
    ran = abi("paste", "--from", "2M", "--to", "5M")
    assert ran.code == 1
    assert "--from 2M" in ran.err
    assert "--init-missing" in ran.err
    assert sorted(abi.root.rglob("*")) == before
    assert abi("paste", "--from", "./nowhere", "--to", "5M").code == 1


def test_paste_makes_a_backbone_that_holds_the_module(pasted):
    abi, report = pasted
    assert report["identical"]
    assert len(report["modules"][0]["tensors"]) == 25
    names = {row["name"] for row in abi("list", "--kind", "backbone", "--json").json}
    assert {"2M", "5M", "5M-untrained"} <= names
    ours = load_file(abi.root / "2M" / "model.safetensors")
    theirs = load_file(abi.root / "5M-untrained" / "model.safetensors")
    target = load_file(abi.root / "5M" / "model.safetensors")
    for name, tensor in theirs.items():
        expected = ours if ".domain_modules." in name else target
        assert tensor.equal(expected[name])
    assert abi("show", "5M-untrained", "--json").json["backbone"]["family"] == "layercake"


def test_a_name_that_exists_is_refused_and_a_dry_run_writes_nothing(pasted, tmp_path):
    abi, _ = pasted
    again = abi("paste", "--from", "2M", "--to", "5M")
    assert again.code == 1
    assert "5M-untrained is already" in again.err
    out = tmp_path / "out"
    dry = abi("paste", "--from", "2M", "--to", "5M", "--out", str(out), "--dry-run", "--json")
    assert [*dry.json["modules"]] == ["untrained"]
    assert not out.exists()
    ran = abi("paste", "--from", "2M", "--to", "5M", "--out", str(out))
    assert ran.code == 0
    assert "trained apart" in ran.err
    assert (out / "tokenizer.json").is_file()


def test_a_core_of_another_d_abi_is_refused(pasted, tmp_path):
    abi, _ = pasted
    out = tmp_path / "out"
    ran = abi("paste", "--from", "2M", "--to", "48M", "--init-missing", "0", "--out", str(out))
    assert ran.code == 1
    assert "d_abi" in ran.err
    assert not out.exists()


def test_verify_passes_on_a_paste_and_fails_on_a_changed_one(pasted):
    abi, _ = pasted
    words = ("verify", "paste", "--from", "2M", "--to", "5M-untrained", "--tokens", "20", "--json")
    ran = abi(*words)
    assert ran.code == 0, ran.out
    checks = ran.json["modules"][0]["checks"]
    assert len(checks) == 4
    assert all(check["identical"] and check["control_differs"] for check in checks)

    file = abi.root / "5M-untrained" / "model.safetensors"
    tensors = load_file(file)
    next(t for n, t in sorted(tensors.items()) if n.endswith("norm.weight") and "untr" in n)[:9] = 3
    save_file(tensors, file, metadata={"format": "pt"})
    ran = abi(*words)
    assert ran.code == 3
    assert not any(check["identical"] for check in ran.json["modules"][0]["checks"])
    assert abi("verify", "weather", "--from", "2M", "--to", "5M").code == 1
