"""`abi export`: a folder and a report, or a refusal by name."""

from __future__ import annotations

import pytest

from tests.commands.conftest import Abi
from tests.workflows.export.hosted_things import Shelf
from tests.workflows.export.hub_stand_in import put_stand_in


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, tiny_tokenizer):
    return Shelf(tmp_path_factory.mktemp("shelf"), tiny_tokenizer)


@pytest.mark.parametrize(("kind", "pairs", "merges"), [("adapter", 14, True), ("linear", 1, False)])
def test_a_lora_goes_out_and_says_its_ranks_and_whether_it_merges(
    shelf, tmp_path, kind, pairs, merges
):
    name = getattr(shelf, kind)(shelf.backbone("llama"), f"{kind}-out")
    abi, out = Abi(shelf.root / "registry", ""), tmp_path / "out"
    ran = abi("export", name, str(out), "--as", "lora", "--json")
    assert ran.code == 0, ran.err
    found = {key: ran.json[key] for key in ("pairs", "ranks", "merges", "compared_in")}
    assert found == {"pairs": pairs, "ranks": [3], "merges": merges, "compared_in": "float32"}
    assert (out / "adapter_model.safetensors").is_file()


def test_a_folder_that_stands_alone_says_so(shelf, tmp_path):
    name, out = shelf.module(shelf.backbone("llama"), "whole"), tmp_path / "out"
    words = ("--with-backbone", "--code", "--with-token-counts", "--json")
    ran = Abi(shelf.root / "registry", "")("export", name, str(out), *words)
    assert ran.code == 0, ran.err
    assert (ran.json["code"], ran.json["with_backbone"]) == (True, True)
    assert "backbone/model.safetensors" in ran.json["files"]
    assert "token_counts" in (out / "abi.json").read_text()


def test_what_was_sent_is_told_with_its_commit(shelf, tmp_path, monkeypatch):
    put_stand_in(monkeypatch)
    name = shelf.adapter(shelf.backbone("llama"), "sent")
    words = ("export", name, str(tmp_path / "out"), "--as", "lora", "--push", "lab/law", "--json")
    ran = Abi(shelf.root / "registry", "")(*words)
    assert ran.code == 0, ran.err
    assert ran.json["pushed"] == {
        "repository": "lab/law", "url": "https://hub/lab/law", "commit": "c0ffee",
    }  # fmt: skip


def test_a_module_goes_out_and_a_taken_folder_is_refused(trained_abi, tmp_path):
    words = ("export", "tales@tiny-gpt2", str(tmp_path / "out"), "--as", "transformers", "--json")
    ran = trained_abi(*words)
    assert ran.code == 0, ran.err
    assert ran.json["logits"] < 1e-4
    assert {"README.md", "config.json", "model.safetensors"} <= {*ran.json["files"]}
    again = trained_abi(*words)
    assert (again.code, again.json["error"]) == (1, "ExistsError")
    other = trained_abi("export", "tales@tiny-gpt2", str(tmp_path / "b"), "--as", "onnx", "--json")
    assert (other.code, other.json["what"]) == (1, "--as")
    assert not (tmp_path / "b").exists()


def test_what_is_no_lora_is_told_the_flag_that_takes_it(trained_abi, tmp_path):
    words = ("export", "tales@tiny-gpt2", str(tmp_path / "out"), "--json")
    ran = trained_abi(*words, "--as", "lora")
    assert (ran.code, "--as transformers" in ran.json["hint"]) == (1, True)
    ran = trained_abi(*words, "--push", "nowhere")
    assert (ran.code, ran.json["what"]) == (1, "--push nowhere")
    ran = trained_abi(*words, "--public")
    assert (ran.code, "--push" in ran.json["expected"]) == (1, True)
    ran = trained_abi(*words, "--as", "safetensors")
    assert ran.code == 0, ran.err
    assert {"equation.json", "tensors.safetensors", "README.md"} <= {*ran.json["files"]}
