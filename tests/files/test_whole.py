"""Files and folders that appear whole or not at all: interrupts, leftovers, second writers."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paste.pasted import tree
from transplant.files.whole_file import locked_file, whole_file
from transplant.files.whole_folder import sibling, whole_folder


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("raised", [KeyboardInterrupt, OSError])
def test_file_whose_writing_is_interrupted_stays_what_it_was(there, raised, tmp_path):
    path = tmp_path / "new" / "deep" / "a.json"
    if there:
        path.parent.mkdir(parents=True)
        path.write_text("old")
    before = tree(tmp_path)

    def write(stop: bool) -> None:
        with whole_file(path) as hidden:
            hidden.write_text("new")
            assert tree(tmp_path) != before  # control: it is under way
            assert not there or path.read_text() == "old"
            if stop:
                raise raised

    with pytest.raises(raised):
        write(stop=True)
    assert tree(tmp_path) == before
    assert (tmp_path / "new").exists() == there
    write(stop=False)
    assert tree(tmp_path) == {"new/deep/a.json": b"new"}


def test_file_that_a_writer_puts_in_the_place_of_the_hidden_one_is_taken(tmp_path):
    with whole_file(tmp_path / "a") as hidden:
        (tmp_path / "own").write_text("of a library that renames")
        (tmp_path / "own").replace(hidden)
    assert tree(tmp_path) == {"a": b"of a library that renames"}


def test_what_a_killed_writer_left_is_no_part_of_the_next_file(tmp_path):
    sibling(tmp_path / "a", "tmp").write_text("left by a killed one")
    with whole_file(tmp_path / "a") as hidden, hidden.open("rb+") as file:
        file.write(b"new")
    assert tree(tmp_path) == {"a": b"new"}


SECOND = """
import sys
from pathlib import Path
from transplant.files.whole_file import whole_file
with whole_file(Path(sys.argv[1])) as hidden:
    hidden.write_text("second")
"""


def test_second_writer_of_a_file_is_refused_while_the_first_has_it(tmp_path):
    def second() -> str:
        command = [sys.executable, "-c", SECOND, str(tmp_path / "a")]
        root = Path(__file__).parents[2]
        return subprocess.run(command, capture_output=True, text=True, cwd=root).stderr

    with locked_file(tmp_path / "a") as (hidden, handle):
        hidden.write_text("first")
        assert "another process writes" in second()
    assert tree(tmp_path) == {"a": b"first"}
    os.close(handle)
    assert second() == ""  # the control
    assert tree(tmp_path) == {"a": b"second"}


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system follows every link")
def test_link_at_the_hidden_name_is_not_written_through(tmp_path):
    (tmp_path / "mine").write_text("mine")
    sibling(tmp_path / "a", "tmp").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic link"), whole_file(tmp_path / "a"):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("moment", ["filling", "first move", "second move"])
def test_folder_whose_writing_is_interrupted_stays_what_it_was(
    there, moment, tmp_path, monkeypatch
):
    final = tmp_path / "a"
    if there:
        final.mkdir()
        (final / "file").write_text("old")
    before, rename, moves = tree(tmp_path), os.rename, []

    def refuse(old: Path, new: Path) -> None:
        moves.append(new)
        if len(moves) == (1 if moment == "first move" else 1 + there):
            raise KeyboardInterrupt
        rename(old, new)

    def write(stop: bool) -> None:
        with whole_folder(final) as hidden:
            (hidden / "file").write_text("new")
            if stop:
                raise KeyboardInterrupt

    if moment != "filling":
        monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(KeyboardInterrupt):
        write(stop=moment == "filling")
    monkeypatch.undo()
    assert tree(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == ["a"] * there
    write(stop=False)
    assert tree(tmp_path) == {"a/file": b"new"}
    assert os.listdir(tmp_path) == ["a"]


def test_folder_at_the_hidden_name_that_is_not_ours_is_left_alone(tmp_path):
    theirs = sibling(tmp_path / "a", "tmp")
    theirs.mkdir()
    (theirs / "file").write_text("theirs")
    with pytest.raises(FileExistsError), whole_folder(tmp_path / "a"):
        pass
    assert tree(tmp_path) == {".a.tmp/file": b"theirs"}


def test_a_full_disk_names_the_file(tmp_path):
    """The write of a handle knows no name: what is said of it would be a riddle."""
    with pytest.raises(OSError, match="No space") as caught, whole_file(tmp_path / "a.json"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a.json")
    assert not [*tmp_path.iterdir()]
