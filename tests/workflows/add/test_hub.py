"""A backbone that is added by its hub id: which files are taken, and what is kept of it."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

import transplant
from tests.workflows.add.added import load
from transplant.errors import BackboneError
from transplant.progress import SilentReporter


class Told(SilentReporter):
    """Keeps what is told of loops."""

    def __init__(self, kept):
        self.kept = kept

    @contextmanager
    def progress(self, title):
        yield lambda *course: self.kept.append((title, *course))


def test_a_hub_id_is_added_by_its_snapshot(work, folder, monkeypatch):
    asked = []

    def snapshot(hub_id, **options):
        asked.append((hub_id, options["revision"]))
        bar = options["tqdm_class"](total=6 << 20, unit="B")  # as downloads draw theirs
        bar.update(3 << 20)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    told = []
    work = transplant.Workspace(
        library=work.library, revision={"org/model": "v2"}, reporter=Told(told)
    )
    added = work.add("org/model", "short")["added"]
    assert ("getting org/model", 3, 6, "MiB downloaded") in told
    assert asked == [("org/model", "v2")]
    assert (added["hub"], added["revision"], added["path"]) == ("org/model", "mine", str(folder))
    load(work, "short")


def test_what_a_hub_holds_of_the_same_weights_in_other_forms_is_left_there(
    work, folder, monkeypatch
):
    from huggingface_hub.utils import filter_repo_objects

    read = ["config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json",
            "tokenizer.json", "chat_template.jinja", "merges.txt"]  # fmt: skip
    others = ["consolidated.safetensors", "original/model.safetensors", "onnx/config.json",
              "original/consolidated.00.pth", "pytorch_model.bin", "modeling.py"]  # fmt: skip
    kept = []

    def snapshot(_, **options):
        patterns = {name: options[name] for name in ("allow_patterns", "ignore_patterns")}
        kept.extend(filter_repo_objects([*read, *others], **patterns))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    work.add("org/model", "short")
    assert kept == read


def test_a_hub_that_cannot_be_reached_is_one_error(work):
    with pytest.raises(BackboneError, match="org/model"):
        work.add("org/model", "short")
    assert work.library.entries() == []
