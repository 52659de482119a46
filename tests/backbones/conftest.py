"""Folders of tiny backbones, a copy for each test."""

from __future__ import annotations

import shutil

import pytest

from tests.tiny import tiny_model


@pytest.fixture(scope="session")
def saved(tmp_path_factory, tiny_tokenizer):
    root = tmp_path_factory.mktemp("backbones")
    for family in ("gpt2", "llama", "t5"):
        tiny_model(family, tiny_tokenizer).save_pretrained(root / family)
        tiny_tokenizer.save_pretrained(root / family)
    return root


@pytest.fixture
def folder(saved, tmp_path):
    def copy(family):
        return shutil.copytree(saved / family, tmp_path / family)

    return copy
