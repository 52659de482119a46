"""The backbone of an exported folder is found by its folder, by its name, or on its hub."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

import transplant
from tests.loading.hosted_kinds import logits_of
from tests.workflows.export.hub_stand_in import put_stand_in
from transplant.errors import BackboneError
from transplant.exported import backbone_abi_hosted as backbones
from transplant.exported.backbone_abi_hosted import _place, folder_here


@pytest.fixture
def library(monkeypatch, tmp_path):
    """What an installed library leads to by name."""
    held = {"short": tmp_path / "held"}
    monkeypatch.setattr(backbones, "FOUND_BY_NAME", [held.get])
    return held


@pytest.mark.parametrize(
    ("path", "revision", "name", "found"),
    [
        ("here", None, "short", "here"), ("here", "c0ffee", "org/model", "here"),
        ("gone", None, "short", "held"), (None, None, "short", "held"),
        ("gone", "c0ffee", "org/model", None), (None, "c0ffee", "org/model", None),
        (None, "c0ffee", "short", None), (None, None, "other", None),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("library")
def test_a_folder_goes_before_a_name_and_a_commit_is_of_the_hub(
    tmp_path, path, revision, name, found
):
    (tmp_path / "here").mkdir()
    reference = {"id": name, "path": path and str(tmp_path / path), "revision": revision}
    assert folder_here(reference) == (found and tmp_path / found)
    where, options = _place(reference, None, "source", {})
    assert where == (str(tmp_path / found) if found else name)
    assert options == ({} if found else {"revision": revision})


@pytest.mark.usefixtures("library")
def test_a_folder_that_is_gone_is_an_error_where_no_hub_has_it(tmp_path):
    reference = {"id": "other", "path": str(tmp_path / "gone"), "revision": None}
    with pytest.raises(ValueError, match="the backbone other is not at"):
        _place(reference, None, "source", {})


@torch.no_grad()
def test_what_was_sent_finds_a_backbone_of_the_library_by_its_name(
    loaded, shelf, library, monkeypatch, tmp_path
):
    """A folder for others names no path; who has the backbone by that name needs none."""
    put_stand_in(monkeypatch)
    model, out = loaded("linear"), tmp_path / "out"
    shelf.work.export(model.name, out, push="me/law")
    with pytest.raises((BackboneError, OSError)):
        transplant.load(out)
    with pytest.raises(OSError, match="gpt2"):
        AutoModelForCausalLM.from_pretrained(out)
    folder = shelf.backbone("gpt2", tie_word_embeddings=True).model.config.name_or_path
    library[shelf.root.joinpath(folder).name] = folder
    found = AutoModelForCausalLM.from_pretrained(out)
    torch.testing.assert_close(logits_of(found), logits_of(model), rtol=0, atol=1e-5)
    assert torch.equal(logits_of(transplant.load(out)), logits_of(model))
