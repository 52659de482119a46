"""A file of activations, and small chunks."""

from __future__ import annotations

import pytest

from tests.activations.tiny_files import make_header, make_tokens, write_file
from transplant.activations import hdf5


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(hdf5, "CHUNK_BYTES", 1000)


@pytest.fixture
def acts_path(tmp_path):
    return write_file(tmp_path / "a.h5", make_header(), make_tokens())
