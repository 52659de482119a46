"""A folder that was checked is not checked again while it is as it was, and is once it is not."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from safetensors.torch import load_file, save_file

from tests.tiny import tiny_model
from transplant.backbones import load
from transplant.backbones.load import load_backbone
from transplant.errors import BackboneError, NumericalError
from transplant.files import remembered


@pytest.fixture
def folder(tmp_path, tiny_tokenizer, monkeypatch):
    monkeypatch.setattr(remembered, "YOUNG_S", 0.0)
    tiny_model("gpt2", tiny_tokenizer).save_pretrained(tmp_path / "mine")
    tiny_tokenizer.save_pretrained(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.fixture
def hashed(monkeypatch):
    """How often weights were hashed."""
    plain, calls = load.hash_parameters, []
    monkeypatch.setattr(load, "hash_parameters", lambda model: calls.append(1) or plain(model))
    return calls


def test_a_folder_is_hashed_once(folder, tmp_path, hashed):
    memory = tmp_path / "checked.json"
    first, second = (load_backbone(folder, remembered=memory) for _ in range(2))
    assert len(hashed) == 1
    for part in ("weights_sha256", "tokenizer_sha256", "config_sha256"):
        assert getattr(first, part) == getattr(second, part)
    load_backbone(folder)  # the control: without a file that remembers
    assert len(hashed) == 2


@pytest.mark.parametrize("times", ["new", "put back"])
def test_a_flipped_byte_is_hashed_again_whatever_its_time_of_modification(
    folder, tmp_path, hashed, times
):
    memory, file = tmp_path / "checked.json", folder / "model.safetensors"
    before = load_backbone(folder, remembered=memory).weights_sha256
    stat = file.stat()
    with file.open("r+b") as opened:
        opened.seek(-1, 2)
        (last,) = opened.read(1)
        opened.seek(-1, 2)
        opened.write(bytes([last ^ 1]))
    if times == "put back":
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert load_backbone(folder, remembered=memory).weights_sha256 != before
    assert len(hashed) == 2


def test_what_is_refused_is_not_remembered(folder, tmp_path):
    memory, file = tmp_path / "checked.json", folder / "model.safetensors"
    load_backbone(folder, remembered=memory)
    tensors = load_file(file)
    tensors["transformer.ln_f.bias"][0] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})
    for _ in range(2):
        with pytest.raises(NumericalError):
            load_backbone(folder, remembered=memory)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_another_file_of_the_folder_is_seen(folder, tmp_path, hashed, name):
    memory = tmp_path / "checked.json"
    load_backbone(folder, remembered=memory)
    (folder / name).write_text((folder / name).read_text() + "\n")
    load_backbone(folder, remembered=memory)
    assert len(hashed) == 2


def test_a_copy_is_another_folder(folder, tmp_path, hashed):
    memory = tmp_path / "checked.json"
    load_backbone(folder, remembered=memory)
    load_backbone(shutil.copytree(folder, tmp_path / "copy"), remembered=memory)
    assert len(hashed) == 2


def test_a_folder_that_was_renamed_is_the_same(folder, tmp_path, hashed):
    memory = tmp_path / "checked.json"
    load_backbone(folder, remembered=memory)
    load_backbone(folder.rename(tmp_path / "renamed"), remembered=memory)
    assert len(hashed) == 1


def test_files_that_changed_just_now_are_not_remembered(folder, tmp_path, hashed, monkeypatch):
    monkeypatch.setattr(remembered, "YOUNG_S", 3600.0)
    for _ in range(2):
        load_backbone(folder, remembered=tmp_path / "checked.json")
    assert len(hashed) == 2


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 10**5, '{"x": 1}', "null"])
def test_a_file_that_remembers_nonsense_is_written_again(folder, tmp_path, hashed, text):
    memory = tmp_path / "checked.json"
    memory.write_text(text)
    for _ in range(2):
        load_backbone(folder, remembered=memory)
    assert len(hashed) == 1


@pytest.mark.parametrize("wrong", [5, None, "short", [], {}])
def test_a_fingerprint_that_is_none_is_not_believed(folder, tmp_path, hashed, wrong):
    memory = tmp_path / "checked.json"
    load_backbone(folder, remembered=memory)
    held = json.loads(memory.read_text())
    held[str(folder)]["checked"]["weights_sha256"] = wrong
    memory.write_text(json.dumps(held))
    load_backbone(folder, remembered=memory)
    assert len(hashed) == 2


def test_where_it_cannot_be_kept_the_folder_is_checked_each_time(folder, tmp_path, hashed):
    (tmp_path / "taken").mkdir()
    for place in (tmp_path / "nowhere" / "checked.json", tmp_path / "taken"):
        load_backbone(folder, remembered=place)
    assert len(hashed) == 2
    (folder / "config.json").unlink()
    with pytest.raises(BackboneError):
        load_backbone(folder, remembered=tmp_path / "taken")
