"""Stopped writers: what was committed stays, after kills and refusals of the disk."""

from __future__ import annotations

import errno
import os
import random
import shutil

import pytest

from tests.activations.crashes import CRASHING, Crashes
from tests.activations.tiny_files import (
    make_header,
    make_tokens,
    same_rows,
    sha256,
    write_file,
    write_rows,
)
from transplant.activations import hdf5
from transplant.activations.writer import ActivationWriter
from transplant.errors import StorageError


@pytest.mark.parametrize("way", ["inside", "outside"])
def test_a_killed_writer_is_resumed_to_the_same_bytes(tmp_path, monkeypatch, way):
    monkeypatch.setattr(hdf5, "CHUNK_BYTES", 2**16)
    header, tokens = CRASHING
    whole = sha256(write_file(tmp_path / "whole.h5", header, tokens, step=1000))
    draw = random.Random(way)
    kills, committed, between = 0, 0, set()
    with Crashes(tmp_path) as crashes:
        while kills < 20:
            if way == "inside":
                kills += crashes.run(draw.randrange(1, 120))
            else:
                left = (tokens.rows - committed) // 500
                kills += crashes.run(0, draw.randrange(min(left, 4)), draw.uniform(1e-6, 0.003))
            committed = crashes.check()
            between.add(committed)
            if committed == tokens.rows:
                assert sha256(crashes.path) == whole
                committed = crashes.restart()
        crashes.run(0)
        assert crashes.check() == tokens.rows
    assert sha256(crashes.path) == whole
    assert len(between - {0, tokens.rows}) >= 3, "the kills came too early or too late"


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("place", ["before", "reserving"])
def test_a_disk_without_room_is_told_before_anything_is_left(tmp_path, monkeypatch, place):
    if place == "before":
        usage = shutil.disk_usage(tmp_path)._replace(free=10**6)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    else:
        monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="full: expected 3.* bytes free, found .* bytes"):
        ActivationWriter.create(tmp_path / "new" / "a.h5", make_header(), make_tokens())
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    write_file(tmp_path / "new" / "a.h5", make_header(), make_tokens())


def test_a_disk_that_cannot_reserve_room_is_taken(tmp_path, monkeypatch):
    def unsupported(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    whole = sha256(write_file(tmp_path / "a.h5", make_header(), make_tokens()))
    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    monkeypatch.setattr("fcntl.flock", unsupported)
    assert sha256(write_file(tmp_path / "b.h5", make_header(), make_tokens())) == whole


@pytest.mark.parametrize("call", ["pwrite", "fdatasync", "fdatasync between commits"])
def test_a_disk_that_fills_up_costs_no_committed_row(tmp_path, monkeypatch, call):
    header, tokens, path = make_header(), make_tokens(), tmp_path / "a.h5"
    with ActivationWriter.create(path, header, tokens) as writer:
        write_rows(writer, header, 0, 120)
        writer.commit(120)
        if call == "pwrite":
            monkeypatch.setattr(os, "pwrite", full)
        else:
            monkeypatch.setattr("transplant.activations.writer._sync_data", full)
        if call == "fdatasync between commits":
            monkeypatch.setattr("transplant.activations.writer.SYNC_BYTES", 1)
            monkeypatch.setattr(writer, "commit", pytest.fail)

        def go_on() -> None:
            write_rows(writer, header, 120, 200)
            writer.commit(200)

        with pytest.raises(StorageError, match="the disk of .*a.h5 is full"):
            go_on()
        assert writer.committed == 120
    assert same_rows(path, header, 120)


def test_the_system_may_write_less_than_it_was_given(tmp_path, monkeypatch):
    header, tokens = make_header(), make_tokens()
    whole = sha256(write_file(tmp_path / "a.h5", header, tokens))
    put = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, at: put(handle, data[:100], at))
    assert sha256(write_file(tmp_path / "b.h5", header, tokens)) == whole
