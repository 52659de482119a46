"""train-reference on a small sample of the real corpus."""

from __future__ import annotations

import pytest

from registry.store import Registry
from tests.tiny import tiny_backbone
from transplant.backbones.load import load_backbone
from transplant.workflows.train.reference import save_reference
from transplant.workspace import Workspace

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


def test_what_cannot_be_stored_leaves_nothing_in_its_folder(tmp_path, tiny_tokenizer, monkeypatch):
    def stop(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    library = Registry(tmp_path)
    made = (Workspace(library=library), tiny_backbone("gpt2", tiny_tokenizer), library)
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "store_backbone", stop)
        with pytest.raises(KeyboardInterrupt):
            save_reference(*made, {"split": "none"})
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    save_reference(*made, {"split": "none"})  # control
    assert (tmp_path / "tiny-gpt2" / "manifest.json").is_file()
