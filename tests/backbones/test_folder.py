"""A folder whose files are not what they should be is refused, whatever they hold."""

from __future__ import annotations

import struct

import pytest

from tests.backbones.folders import configure, edit, shard
from transplant.backbones.load import load_backbone
from transplant.errors import BackboneError, TransplantError

DEEP = '{"a":' * 3000 + "1" + "}" * 3000


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    "text",
    [b"", b"null", b"[]", b"5", b'{"model_type": "gp', DEEP.encode(), b"[" * 10**5, b"\0" * 9],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(folder, file, text):
    path = folder("gpt2")
    (path / file).write_bytes(text)
    with pytest.raises(BackboneError):
        load_backbone(path)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["folder", "loop", "nothing"])
def test_what_is_no_file_is_refused(folder, file, kind):
    path = folder("gpt2")
    (path / file).unlink()
    if kind == "folder":
        (path / file).mkdir()
    if kind == "loop":
        (path / file).symlink_to(file)
    with pytest.raises(BackboneError):
        load_backbone(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda held: held.pop("model"),
        lambda held: held.update(model=None),
        lambda held: held["model"].update(vocab=None),
        lambda held: held["model"].update(vocab={"a": -1}),
        lambda held: held["model"].update(merges=["a b c d"]),
        lambda held: held.update(added_tokens=[{"id": "x"}]),
        lambda held: held.update(pre_tokenizer={"type": "nonsense"}),
        lambda held: held.update(normalizer={"type": "Replace", "pattern": {"Regex": "*"}}),
        lambda held: held["model"].update(vocab={}, merges=[]),
    ],
)
def test_a_tokenizer_that_cannot_be_is_refused(folder, change):
    path = folder("gpt2")
    edit(path / "tokenizer.json", change)
    with pytest.raises(BackboneError):
        load_backbone(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index["weight_map"].update({"model.norm.weight": "../x.safetensors"}),
        lambda index: index["weight_map"].update({"model.norm.weight": "/etc/passwd"}),
        lambda index: index["weight_map"].update({"model.norm.weight": "x.safetensors"}),
        lambda index: index["weight_map"].update({"model.norm.weight": None}),
        lambda index: index.pop("weight_map"),
        lambda index: index.update(weight_map=None),
        lambda index: index.update(weight_map={}),
        lambda index: index.pop("metadata"),
    ],
)
def test_an_index_of_other_files_is_refused(folder, change):
    with pytest.raises(BackboneError):
        load_backbone(shard(folder("llama"), change))


@pytest.mark.parametrize(
    "damage",
    [
        lambda _data: b"",
        lambda data: data[:4],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"xx",
        lambda data: struct.pack("<Q", 2**60) + data[8:],
        lambda _data: struct.pack("<Q", 2) + b"[]",
        lambda data: data[:8] + b"x" * (len(data) - 8),
        lambda data: data.replace(b'"F32"', b'"Q32"', 1),
        lambda data: data.replace(b'"shape":[', b'"shape":[-', 1),
    ],
)
def test_damaged_safetensors_are_refused(folder, damage):
    path = folder("gpt2")
    file = path / "model.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(BackboneError):
        load_backbone(path)


def test_code_beside_the_weights_is_not_run(folder, tmp_path):
    path = folder("gpt2")
    ran = tmp_path / "ran"
    (path / "own.py").write_text(f"open({str(ran)!r}, 'w')\n")
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    load_backbone(configure(path, auto_map=own))  # a family that is known needs none
    with pytest.raises(BackboneError):
        load_backbone(configure(path, model_type="own"))
    assert not ran.exists()


def test_the_cause_is_kept(folder):
    path = folder("gpt2")
    (path / "config.json").write_text("{")
    with pytest.raises(TransplantError) as caught:
        load_backbone(path)
    assert caught.value.__cause__ is not None
