"""What is hosted on a backbone that was added from a hub goes out with its hub id and commit."""

from __future__ import annotations

import json

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM

import transplant
from tests.workflows.export.hosted_things import COMMIT, IDS, shelf_of_a_hub
from tests.workflows.export.hub_stand_in import put_stand_in
from transplant.progress import SilentReporter


class Told(SilentReporter):
    """A reporter that keeps what it was warned of."""

    def __init__(self):
        self.warnings = []

    def warn(self, text, /):
        self.warnings.append(text)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, tiny_tokenizer):
    """A library with `short`, added from a hub whose cache of downloads is a folder here."""
    return shelf_of_a_hub(tmp_path_factory.mktemp("shelf"), tiny_tokenizer)


@pytest.fixture(scope="module")
def backbone(shelf):
    return shelf.work.backbone("short")


@pytest.mark.parametrize("push", [None, "me/law"])
def test_a_lora_names_the_hub_id_and_the_commit(shelf, backbone, tmp_path, push, monkeypatch):
    put_stand_in(monkeypatch)
    shelf.work.export(
        shelf.adapter(backbone, f"law-{push is None}"), tmp_path / "out", form="lora", push=push
    )
    settings = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    named = settings["base_model_name_or_path"], settings["revision"]
    assert named == ("org/model", COMMIT)
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.base_model == "org/model"
    assert 'from_pretrained("org/model")' in card.text


@torch.no_grad()
@pytest.mark.parametrize("push", [None, "me/tales"])
def test_a_folder_of_transformers_names_them_too(shelf, backbone, tmp_path, push, monkeypatch):
    put_stand_in(monkeypatch)
    name = shelf.module(backbone, f"tales-{push is None}")
    shelf.work.export(name, tmp_path / "out", push=push)
    reference = json.loads((tmp_path / "out" / "config.json").read_text())["backbone_reference"]
    assert (reference["id"], reference["revision"]) == ("org/model", COMMIT)
    assert (reference["path"] is None) == (push is not None)
    if push is None:  # at hand it is loaded from where it lies
        found = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
        expected = shelf.work.load(name)(IDS).logits
        torch.testing.assert_close(found(IDS).logits, expected, rtol=0, atol=1e-5)


def test_sending_what_others_cannot_load_is_warned_of(shelf, backbone, tmp_path, monkeypatch):
    put_stand_in(monkeypatch)
    folder = shelf.backbone("llama")
    warned = {}
    for known, base in {"hub": backbone, "folder": folder}.items():
        for inside in (False, True):
            told = Told()
            work = transplant.Workspace(library=shelf.work.library, reporter=told)
            name = shelf.module(base, f"sent-{known}-{inside}".lower())
            work.export(name, tmp_path / f"{known}-{inside}", push="me/law", with_backbone=inside)
            warned[known, inside] = any("on no hub" in text for text in told.warnings)
    assert [case for case, is_warned in warned.items() if is_warned] == [("folder", False)]
