"""`abi cores`, `abi paste` and `abi verify` on small cores."""

from __future__ import annotations

import pytest
from safetensors.torch import load_file, save_file

from transplant.backbones.layercake.sizes import SIZES
from transplant.paste.core import open_core


@pytest.fixture
def pasted(abi):
    """`2M` and `5M` made untrained, with the module of one pasted into the other."""
    ran = abi("paste", "--from", "2M", "--to", "5M", "--init-missing", "3", "--json")
    assert ran.code == 0, ran.err
    return abi, ran.json


def test_cores_lists_every_size_with_its_true_count(abi):
    rows = {row["name"]: row for row in abi("cores", "--json").json["cores"]}
    assert rows.keys() == SIZES.keys()
    assert rows["2M"]["parameters"] == 1_934_016
    assert not rows["2M"]["in_registry"]
    larger = abi("cores", "--vocab", "5000", "--json").json["cores"][0]["parameters"]
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
    names = {row["name"] for row in abi.rows("--kind", "backbone")}
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
    assert all(check["identical"] for check in checks)
    assert all(check["verdict"] == "pass" and check["control"] for check in checks)
    assert ran.json["body"]["pass"]

    file = abi.root / "5M-untrained" / "model.safetensors"
    tensors = load_file(file)
    next(t for n, t in sorted(tensors.items()) if n.endswith("norm.weight") and "untr" in n)[:9] = 3
    save_file(tensors, file, metadata={"format": "pt"})
    ran = abi(*words)
    assert ran.code == 3
    assert not any(check["identical"] for check in ran.json["modules"][0]["checks"])
    assert "is not as it was written: tensor" in ran.json["body"]["differs"]
    assert abi("verify", "weather", "--from", "2M", "--to", "5M").code == 1


@pytest.mark.parametrize("by_path", [False, True])
@pytest.mark.parametrize("side", ["2M", "5M"])
def test_a_damaged_core_of_the_registry_is_neither_pasted_from_nor_into(
    pasted, tmp_path, side, by_path
):
    abi, _ = pasted
    places = {core: str(abi.root / core) if by_path else core for core in ("2M", "5M")}
    words = ("paste", "--from", places["2M"], "--to", places["5M"])
    file = abi.root / side / "model.safetensors"
    part = "domain_modules" if side == "2M" else "layers.0"
    span = next(s for n, s in open_core(file.parent).tensors.items() if part in n)
    whole = file.read_bytes()
    file.write_bytes(whole[: span.begin] + bytes([whole[span.begin] ^ 1]) + whole[span.begin + 1 :])
    before = sorted(abi.root.rglob("*"))
    for more in (("--name", "again"), ("--out", str(tmp_path / "out"))):
        ran = abi(*words, *more, "--json")
        assert ran.code == 1
        assert "is not as it was written: tensor" in ran.out
        assert sorted(abi.root.rglob("*")) == before
        assert not (tmp_path / "out").exists()
    file.write_bytes(whole)
    out = str(tmp_path / "no name (of ours)")
    assert abi(*words, "--out", out).code == 0  # the control
    assert abi("paste", "--from", out, "--to", "2M", "--replace", "--dry-run").code == 0
