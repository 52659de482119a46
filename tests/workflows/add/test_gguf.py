"""A .gguf file is unpacked once, as `transformers` reads it, or refused before the work."""

from __future__ import annotations

import hashlib
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import transplant
from tests.tiny_gguf import write_gguf
from tests.workflows.add.added import load, logits
from transplant.backbones import dequantise
from transplant.errors import BackboneError, InputError, StorageError
from transplant.files import room

transformers = pytest.importorskip("transformers", minversion="5.17")


def test_a_gguf_file_is_unpacked_to_what_transformers_makes_of_it(work, packed):
    report = work.add(packed, "short")
    direct = AutoModelForCausalLM.from_pretrained(
        packed.parent, gguf_file=packed.name, dtype=torch.float32,
        quantization_config=transformers.GgufConfig(dequantize=True),
    )  # fmt: skip
    assert torch.equal(logits(load(work, "short")), logits(direct))
    added = work.library.find("backbone", "short").manifest.made["added"]
    assert added["sha256"] == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert report["added"] == added
    packed.unlink()  # nothing of it is needed any more
    work.library.verify(work.library.find("backbone", "short"))
    config = (work.library.root / "short" / "config.json").read_text()
    assert "quantization_config" not in config
    assert not [*(work.library.root / ".runs").iterdir()]


@pytest.mark.parametrize("dtype", [None, "float32", "float16"])
def test_a_gguf_file_is_stored_in_the_dtype_that_is_asked_for(work, packed, dtype):
    asked = {} if dtype is None else {"dtype": dtype}
    transplant.Workspace(library=work.library, **asked).add(packed, "short")
    held = load_file(work.library.root / "short" / "model.safetensors")
    assert {tensor.dtype for tensor in held.values()} == {getattr(torch, dtype or "bfloat16")}


def cut(file, end):
    file.write_bytes(file.read_bytes()[:end])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: cut(file, -100), "cut off.*expected .* bytes"),
        (lambda file: cut(file, 600), "cut off in its header"),
        (lambda file: cut(file, 5), "cut off in its header"),
        (lambda file: cut(file, 0), "no GGUF file"),
        (lambda file: file.write_bytes(b"PK\3\4" + file.read_bytes()), "no GGUF file"),
        (lambda file: file.write_bytes(b"GGUF" + b"\xff" * 200), "version of GGUF"),
        (lambda file: file.unlink(), "no such file"),
    ],
)
def test_a_gguf_file_that_is_not_whole_is_refused_before_the_work(
    work, packed, monkeypatch, spoil, said
):
    monkeypatch.setattr(dequantise, "dequantise", lambda *_: pytest.fail("work"))
    spoil(packed)
    with pytest.raises(BackboneError, match=said):
        work.add(packed, "short")
    assert work.library.entries() == []


def test_a_gguf_file_of_an_unknown_architecture_or_in_parts_is_refused(
    work, tmp_path, tiny_tokenizer
):
    for name, architecture, fields, said in (
        ("odd", "frobnicator", {}, "frobnicator"), ("t5", "t5", {}, "'t5'"),
        ("key", "general", {}, "expected one of [^,]*, (?!.*tokenizer).*'general'"),
        ("part", "llama", {"split_count": 3}, "3 parts"),
    ):  # fmt: skip
        file = tmp_path / f"{name}.gguf"
        write_gguf(file, tiny_tokenizer, architecture, **fields)
        with pytest.raises(BackboneError, match=said):
            work.add(file, "short")


def test_without_the_package_a_gguf_file_says_what_to_install(work, packed, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(InputError, match=r"pip install 'abi-transplant\[gguf\]'"):
        work.add(packed, "short")


def test_an_older_transformers_is_named_with_what_to_install(work, packed, monkeypatch):
    monkeypatch.setattr(transformers, "__version__", "5.16.1")
    with pytest.raises(InputError, match=r"5\.17 or newer.*abi-transplant\[gguf\]"):
        work.add(packed, "short")


def test_a_full_disk_is_refused_before_a_gguf_file_is_unpacked(work, packed, monkeypatch):
    monkeypatch.setattr(dequantise, "dequantise", lambda *_: pytest.fail("work"))
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 9))
    with pytest.raises(StorageError, match="too full"):
        work.add(packed, "short")
