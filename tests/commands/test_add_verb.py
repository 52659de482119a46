"""add, and what list, show and rm say of what was added."""

from __future__ import annotations

import pytest

from tests.tiny import tiny_model
from tests.tiny_gguf import write_gguf


def test_add_takes_a_folder_and_a_gguf_file_and_list_show_and_rm_know_them(
    abi, tmp_path, tiny_tokenizer
):
    pytest.importorskip("transformers", minversion="5.17")  # the extra gguf
    folder, file = tmp_path / "mine", tmp_path / "tiny.gguf"
    tiny_model("llama", tiny_tokenizer).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    write_gguf(file, tiny_tokenizer)
    ran = abi("add", str(folder), "--name", "mine", "--json")
    added, idle = ran.json, "weights stay as they are stored: --dtype"
    assert (added["name"], added["folder"]) == ("mine", str(folder))
    packed = abi("add", str(file), "--name", "packed", "--dtype", "float32", "--json")
    assert packed.json["added"]["dtype"] == "float32"
    assert idle not in ran.err + packed.err
    assert idle in abi("add", str(folder), "--name", "half", "--dtype", "float16").err
    assert abi("rm", "half", "--yes").code == 0
    assert "mine" in abi("list").out
    assert abi.train("mine").code == 0
    assert abi.train("packed", "--name", "told").code == 0
    folder = folder.rename(tmp_path / "moved")
    rows = abi.rows("--backbone", str(folder), "--kind", "module")
    found = [(row["name"], row["backbone"], row["also_on"]) for row in rows]
    assert found == [("tales", "mine", [])]
    gone = abi("nib", "--anchor", "mine", "--candidate", "tales@mine")
    assert gone.code == 1
    assert "abi add FOLDER --name mine --replace" in gone.err
    assert abi("show", f"tales@{folder}", "--json").json["backbone"]["id"] == "mine"
    assert abi("add", str(folder), "--name", "other").code == 0
    assert "mine = other" in abi("list", "--kind", "module").out
    assert abi("rm", "mine", "--yes").code == 0
    assert (folder / "model.safetensors").is_file()
    assert abi("show", "tales@other", "--verify").code == 0
    assert abi("rm", "tales@other", "--yes").code == 0
    left = {row["name"] for row in abi.rows() if not row["shipped"]}
    assert left == {"tiny-gpt2", "tiny-llama", "tiny-t5", "packed", "told", "other"}


def test_add_refuses_in_one_line(abi, tmp_path):
    (tmp_path / "no.gguf").write_bytes(b"nothing")
    for words, said in (
        ((str(tmp_path / "no.gguf"), "--name", "short"), "no GGUF file"),
        ((str(tmp_path), "--name", "tiny-gpt2"), "abi rm tiny-gpt2"),
        ((str(tmp_path), "--name", "a/b"), "expected letters"),
        (("tiny-gpt2", "--name", "again"), "already"),
        ((str(tmp_path / "nowhere"), "--name", "short"), "no such folder or file"),
    ):
        ran = abi("add", *words)
        assert (ran.code, len(ran.err.splitlines())) == (1, 1), ran.err
        assert said in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--device", "frob"), "frob"),
        (("--device-map", '{"nosuch": "cpu"}'), "nosuch"),
    ],
)
def test_add_looks_at_the_options_that_say_where_a_model_goes(
    abi, tmp_path, tiny_tokenizer, words, said
):
    folder = tmp_path / "mine"
    tiny_model("llama", tiny_tokenizer).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    ran = abi("add", str(folder), "--name", "placed", *words)
    assert ran.code == 1
    assert said in ran.err
    assert "placed" not in {row["name"] for row in abi.rows()}


@pytest.mark.parametrize("source", ["here.gguf", "./here.gguf"])
def test_a_gguf_file_named_as_a_backbone_is_to_be_added_first(
    abi, tmp_path, tiny_tokenizer, source, monkeypatch
):
    pytest.importorskip("transformers", minversion="5.17")  # the extra gguf
    monkeypatch.chdir(tmp_path)
    write_gguf(tmp_path / "here.gguf", tiny_tokenizer)
    ran = abi("perplexity", source, "--data", "prose")
    assert ran.code == 1
    assert "abi add" in ran.err
    assert "here.gguf" in ran.err
    assert "--name NAME" in ran.err
