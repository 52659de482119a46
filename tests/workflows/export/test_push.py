"""Sending an export to the hub, against a stand-in for its client."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError

from tests.workflows.export.hosted_things import Shelf
from tests.workflows.export.hub_stand_in import put_stand_in
from transplant.errors import InputError, StorageError
from transplant.workflows.export.push import check_repository


@pytest.fixture
def hub(monkeypatch):
    return put_stand_in(monkeypatch)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, tiny_tokenizer):
    return Shelf(tmp_path_factory.mktemp("shelf"), tiny_tokenizer)


@pytest.fixture(scope="module")
def name(shelf):
    return shelf.adapter(shelf.backbone("llama"), "taught")


def refused(status):
    response = SimpleNamespace(status_code=status, headers={}, request=None, text="", url="")
    error = HfHubHTTPError.__new__(HfHubHTTPError)
    Exception.__init__(error, f"status {status}")
    error.response = response
    return error


@pytest.mark.parametrize("public", [False, True])
def test_a_whole_folder_is_sent_after_the_work_private_unless_asked(
    hub, shelf, name, tmp_path, public
):
    out = tmp_path / "out"
    report = shelf.work.export(name, out, form="lora", push="lab/law", public=public)
    assert [call[0] for call in hub.made] == ["whoami", "create", "upload"]
    assert hub.made[1] == ("create", "lab/law", not public)
    sent = hub.made[2][2]
    assert {"README.md", "abi.json", "adapter_config.json", "adapter_model.safetensors"} == {*sent}
    assert report["pushed"]["commit"] == "c0ffee"
    assert out.is_dir()
    assert not any(str(shelf.root) in text for text in sent.values())  # folders of this machine


@pytest.mark.parametrize("form", ["transformers", "safetensors"])
def test_nothing_of_this_machine_is_sent_in_any_form(hub, shelf, tmp_path, form):
    module = shelf.module(shelf.backbone("llama"), f"tales-{form}")
    shelf.work.export(module, tmp_path / "out", form=form, push="me/tales")
    assert not any(str(shelf.root) in text for text in hub.made[-1][2].values())
    shelf.work.export(module, tmp_path / "kept", form=form)  # control: here it may be found
    kept = [file.read_text("utf-8", "replace") for file in (tmp_path / "kept").iterdir()]
    assert any(str(shelf.root) in text for text in kept)


def test_without_a_token_nothing_is_written(hub, shelf, name, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(InputError, match="no token") as error:
        shelf.work.export(name, tmp_path / "out", form="lora", push="lab/law")
    assert "HF_TOKEN" in str(error.value.hint)
    assert hub.made == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("raised", "named", "says"),
    [
        (refused(401), InputError, "refuses the token"),
        (refused(500), StorageError, "the hub refuses"),
        (ConnectionError("no route"), StorageError, "is not reached"),
        (OSError("offline"), StorageError, "is not reached"),
    ],
)
def test_what_the_hub_answers_has_a_name_before_the_work(
    hub, shelf, name, tmp_path, raised, named, says
):
    hub.raises["whoami"] = raised
    with pytest.raises(named, match=says):
        shelf.work.export(name, tmp_path / "out", form="lora", push="lab/law")
    assert not (tmp_path / "out").exists()


def test_a_failure_on_the_way_leaves_the_folder_and_says_how_to_send_it(hub, shelf, name, tmp_path):
    hub.raises["upload"] = ConnectionError("cut")
    out = tmp_path / "the out"
    with pytest.raises(StorageError, match=f"`hf upload lab/law '{re.escape(str(out))}'`"):
        shelf.work.export(name, out, form="lora", push="lab/law")
    assert (out / "adapter_model.safetensors").is_file()


def test_repositories_of_others_and_names_that_are_none_are_refused(hub, shelf, name, tmp_path):
    with pytest.raises(InputError, match="belongs to others"):
        shelf.work.export(name, tmp_path / "out", form="lora", push="them/law")
    for wrong in ("law", "a/b/c", "lab/", "lab/a b", "lab/a..b", str(Path("/lab/law"))):
        with pytest.raises(InputError):
            check_repository(wrong)
    with pytest.raises(InputError, match="public"):
        shelf.work.export(name, tmp_path / "out", form="lora", public=True)
    assert {call[0] for call in hub.made} == {"whoami"}
    assert not (tmp_path / "out").exists()
