"""A corpus is read once in a process as long as its files are as they were."""

from __future__ import annotations

import json
import os

import pytest

from tests.conftest import write_document
from transplant import Workspace
from transplant.text.state import state_of
from transplant.workflows import corpus


@pytest.fixture
def read(monkeypatch):
    """Reads a source, and gives the texts of its training side; how often files were read."""
    times, plain = [], corpus._read
    monkeypatch.setattr(corpus, "_read", lambda *asked: times.append(asked) or plain(*asked))
    work = Workspace(library=...)  # pyright: ignore[reportArgumentType]

    def texts(source):
        return {document.text for document in corpus.read_splits(work, source).train}

    texts.times = times
    return texts


def put(path, numbers):
    """Documents as a file of rows."""
    path.write_text("".join(json.dumps(write_document(n)) + "\n" for n in numbers))
    return path


@pytest.mark.parametrize("way", ["file", "folder", "several"])
def test_what_has_changed_on_the_disk_is_read_anew(read, tmp_path, way):
    file, other = put(tmp_path / "rows.jsonl", range(60)), tmp_path / "other"
    other.mkdir()
    put(other / "more.jsonl", range(100, 160))
    source = {"file": str(file), "folder": str(tmp_path), "several": f"{other},{file}"}[way]
    before = read(source)
    assert read(source) == before
    assert len(read.times) == 1  # the control: what stands as it was is not read again
    put(file, range(200, 260))
    after = read(source)
    assert len(read.times) == 2
    assert after != before
    assert {write_document(n) for n in range(60)}.isdisjoint(after)


def test_one_name_in_two_folders_is_two_corpora(read, tmp_path, monkeypatch):
    for number, name in enumerate(("one", "two")):
        (tmp_path / name).mkdir()
        put(tmp_path / name / "rows.jsonl", range(60 * number, 60 * number + 60))
    found = []
    for name in ("one", "two"):
        monkeypatch.chdir(tmp_path / name)
        found.append(read("rows.jsonl"))
    assert found[0].isdisjoint(found[1])


def test_a_state_is_of_the_files_that_are_there(tmp_path):
    assert state_of("prose") == state_of("owner/set:config") == state_of("a,,b") == ()
    file = put(tmp_path / "rows.jsonl", range(2))
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    ((name, size, *_),) = state_of(f"{tmp_path}:default:test")
    assert (name, size) == (str(file), file.stat().st_size)
    before = state_of(str(file))
    os.utime(file, ns=(1, 1))
    assert state_of(str(file)) != before
