"""A workspace with an empty library, and what can be added to it."""

from __future__ import annotations

import pytest

import transplant
from registry.store import Registry
from tests.tiny import tiny_model
from tests.tiny_gguf import write_gguf
from transplant.files import remembered


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setattr(remembered, "YOUNG_S", 0.0)
    library = Registry(tmp_path / "registry", tmp_path / "nothing-ships")
    return transplant.Workspace(library=library, dtype="float32")


@pytest.fixture
def folder(tmp_path, tiny_tokenizer):
    tiny_model("llama", tiny_tokenizer).save_pretrained(tmp_path / "mine")
    tiny_tokenizer.save_pretrained(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.fixture
def packed(tmp_path, tiny_tokenizer):
    write_gguf(tmp_path / "tiny.gguf", tiny_tokenizer)
    return tmp_path / "tiny.gguf"
