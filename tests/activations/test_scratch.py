"""Scratch files that a kill cannot leave behind."""

from __future__ import annotations

import os

import pytest
import torch

from transplant.activations.staging import nameless


@pytest.mark.parametrize("supported", [True, False])
def test_scratch_file_holds_numbers_and_leaves_no_name(supported, tmp_path, monkeypatch):
    if not supported:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("this system names every file")
    with nameless(tmp_path, 4000) as path:
        rows = torch.from_file(str(path), shared=True, size=1000)
        named = list(tmp_path.iterdir())
    rows += 2.0
    assert rows.sum() == 2000
    assert list(tmp_path.iterdir()) == []
    if supported and path.parent != tmp_path:
        assert named == []  # a kill at any time leaves nothing
