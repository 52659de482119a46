"""Downloads of weights, told to whoever follows the loading of a model."""

from __future__ import annotations

import pytest
from huggingface_hub import constants

from tests.tiny import tiny_model
from transplant.backbones.downloads import (
    bar_class,
    commit_of,
    download_options,
    following_downloads,
)
from transplant.backbones.load import load_backbone
from transplant.backbones.whole import load_whole

MIB = 2**20
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_the_bytes_of_all_files_are_added_up(capsys):
    from huggingface_hub.utils.tqdm import _create_progress_bar

    told = []
    cls = bar_class(lambda *facts: told.append(facts))
    make = {"cls": cls, "log_level": 0, "name": "huggingface_hub.http_get", "initial": 0}
    with _create_progress_bar(**make, unit="B", total=10 * MIB, desc="a") as one:
        one.update(4 * MIB)
        with _create_progress_bar(**make, unit="B", total=30 * MIB, desc="b") as other:
            other.update(20 * MIB)
        with _create_progress_bar(**make, unit="it", total=2, desc="files") as files:
            files.update(1)
        one.update(6 * MIB)
    assert told[1] == (4, 10, "MiB downloaded")
    assert told[-1] == (30, 40, "MiB downloaded")
    assert capsys.readouterr() == ("", "")


def test_a_model_of_a_hub_is_loaded_with_them_and_a_folder_is_not(tmp_path):
    asked = []

    class Model:
        @staticmethod
        def from_pretrained(source, **options):
            asked.append((source, options.get("tqdm_class")))
            raise RuntimeError

    with following_downloads(lambda *_: None):
        for source in ("owner/model", str(tmp_path)):
            with pytest.raises(RuntimeError):
                load_whole(Model, source)
    assert asked[0][1] is not None
    assert asked[1] == (str(tmp_path), None)
    assert download_options("owner/model") == {}  # nobody follows


@pytest.fixture
def hub(tmp_path, tiny_tokenizer, monkeypatch):
    """A cache of downloads that holds one model, under the branch `main` and the tag `v1`."""
    place = tmp_path / "hub/models--owner--model"
    snapshot = place / "snapshots" / COMMIT
    tiny_model("llama", tiny_tokenizer).save_pretrained(snapshot)
    tiny_tokenizer.save_pretrained(snapshot)
    (place / "refs").mkdir()
    for revision in ("main", "v1"):
        (place / "refs" / revision).write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("revision", [None, "main", "v1", COMMIT])
def test_the_commit_that_was_loaded_of_a_hub_id_is_recorded(revision):
    assert load_backbone("owner/model", revision=revision).revision == COMMIT


@pytest.mark.usefixtures("hub")
def test_without_a_cached_file_the_revision_that_was_asked_for_is_recorded():
    assert commit_of("owner/model", "v2") == "v2"
    assert commit_of("owner/other", None) is None
