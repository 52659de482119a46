"""train-reference on a small sample of the real corpus."""

from __future__ import annotations

from transplant.backbones.load import load_backbone

SMALL = ("--tokens", "8000", "--max-chars", "400000", "--eval-tokens", "1000", "--json")


def test_a_reference_is_a_plain_folder_with_a_manifest(trained_abi, tmp_path):
    ran = trained_abi("train-reference", "ref-gpt2", "--out", str(tmp_path), *SMALL)
    assert ran.code == 0, ran.err
    assert ran.json["tokens"] == 8000
    assert ran.json["ppl"].keys() == {"prose", "python"}
    backbone = load_backbone(tmp_path / "ref-gpt2")
    assert (backbone.family, backbone.context, backbone.d_model) == ("gpt2", 512, 256)
    names = {path.name for path in (tmp_path / "ref-gpt2").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "manifest.json"} <= names
    again = trained_abi("train-reference", "ref-gpt2", "--out", str(tmp_path), *SMALL)
    assert again.code == 1
    assert "already in" in again.json["what"]


def test_an_unknown_reference_names_the_known_ones(trained_abi, tmp_path):
    ran = trained_abi("train-reference", "ref-bert", "--out", str(tmp_path), "--json")
    assert ran.code == 1
    assert "ref-t5" in ran.json["expected"]
