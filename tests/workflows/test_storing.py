"""Backbones are made on the library's disk: the temp folder of the system may be small."""

from __future__ import annotations

import tempfile

import pytest

from registry.store import Registry
from tests.tiny import tiny_backbone
from transplant.library import HostedName
from transplant.text.tokenizers import train_tokenizer
from transplant.workflows.cores.folders import make_untrained
from transplant.workflows.vocabulary import store_backbone
from transplant.workspace import Workspace


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A workspace where the system has no temp folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError):  # the control
        tempfile.mkdtemp()
    return Workspace(library=Registry.open(tmp_path / "registry"))


def assert_stored_whole(work, name):
    work.library.verify(work.library.find("backbone", name))
    assert work.load(HostedName(None, name)).is_raw
    assert not [*(work.library.root / ".runs").glob("*.storing*")]


def test_a_backbone_that_was_made_needs_no_temp_folder_of_the_system(work):
    tokenizer = train_tokenizer("bpe", ("a tale of two", "the other tale"), 300, context=32)
    store_backbone(work, tiny_backbone("gpt2", tokenizer), {"verb": "test"})
    assert_stored_whole(work, "tiny-gpt2")


def test_an_untrained_core_needs_none_either(work):
    make_untrained(work, "2M", 0, "tales")
    assert_stored_whole(work, "2M")
