"""The file on the disk: the same bytes each time, and only what fits is written."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import time

import h5py
import numpy as np
import pytest

from tests.activations.tiny_files import (
    make_header,
    make_tokens,
    same_rows,
    sha256,
    write_file,
    write_rows,
)
from transplant.activations.writer import ActivationWriter
from transplant.errors import ExistsError, InputError, NotFoundError, ShapeError


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    header, tokens = make_header(), make_tokens()
    first = write_file(tmp_path / "a.h5", header, tokens)
    time.sleep(1.1)  # HDF5 stamps whole seconds
    second = write_file(tmp_path / "b.h5", header, tokens)
    assert sha256(first) == sha256(second)
    other = write_file(tmp_path / "c.h5", make_header(made={"seed": 4}), tokens)
    assert sha256(first) != sha256(other)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("step", [7, 25, 273])
def test_h5py_reads_what_was_written(tmp_path, dtype, step):
    header, tokens = make_header(dtype=dtype), make_tokens()
    path = write_file(tmp_path / "a.h5", header, tokens, step=step)
    assert same_rows(path, header, tokens.rows)
    with h5py.File(path) as file:
        tap = file["taps/block.2.mlp"]
        assert tap.shape == (tokens.rows, 5)  # no padding
        assert (tap.maxshape, tap.id.get_num_chunks() > 1) == ((None, 5), True)
        assert (tap.compression, tap.attrs["dtype"]) == (None, dtype.encode())
        assert file["committed"].id.get_offset() % 8 == 0
        np.testing.assert_array_equal(file["windows/first_row"], tokens.first_row)
        assert json.loads(file.attrs["taps"]) == list(header.taps)


@pytest.mark.usefixtures("small_chunks")
def test_the_order_of_writes_leaves_no_trace(tmp_path):
    header, tokens = make_header(), make_tokens()
    straight = write_file(tmp_path / "a.h5", header, tokens)
    with ActivationWriter.create(tmp_path / "b.h5", header, tokens) as writer:
        for start in random.Random(0).sample(range(0, tokens.rows, 30), -(-tokens.rows // 30)):
            write_rows(writer, header, start, min(start + 30, tokens.rows))
        writer.commit(tokens.rows)
    assert sha256(tmp_path / "b.h5") == sha256(straight)


def test_a_new_file_holds_zeros_to_the_end_of_its_last_chunk(tmp_path, monkeypatch):
    """Also where a killed one left bytes under the hidden name, and little room."""
    (tmp_path / ".a.h5.tmp").write_bytes(b"\xff" * 2**23)
    usage = shutil.disk_usage(tmp_path)

    def free(_: object) -> object:
        taken = sum(path.stat().st_size for path in tmp_path.iterdir())
        return usage._replace(free=10**7 - taken)

    monkeypatch.setattr(shutil, "disk_usage", free)
    header, tokens = make_header(), make_tokens()
    ActivationWriter.create(tmp_path / "a.h5", header, tokens).close()
    raw = (tmp_path / "a.h5").read_bytes()
    with h5py.File(tmp_path / "a.h5") as file:
        for tap in file["taps"].values():
            for number in range(tap.id.get_num_chunks()):
                chunk = tap.id.get_chunk_info(number)
                assert not any(raw[chunk.byte_offset : chunk.byte_offset + chunk.size])
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_no_rows_are_a_file_too(tmp_path):
    header, tokens = make_header(), make_tokens(((), ()))
    path = write_file(tmp_path / "a.h5", header, tokens)
    assert same_rows(path, header, 0)


def test_what_is_there_is_not_written_over(tmp_path):
    path = write_file(tmp_path / "a.h5", make_header(), make_tokens())
    with pytest.raises(ExistsError, match="resume=True"):
        ActivationWriter.create(path, make_header(), make_tokens())
    assert same_rows(path, make_header(), make_tokens().rows)


def test_rows_that_do_not_fit_are_refused(tmp_path):
    header, tokens = make_header(), make_tokens()
    with ActivationWriter.create(tmp_path / "a.h5", header, tokens) as writer:
        write_rows(writer, header, 0, 100)
        writer.commit(100)
        writer.write("0", 100, np.zeros((0, 8), np.float32))
        for wrong in (
            np.zeros((3, 7), np.float32),
            np.zeros((3, 8), np.float64),
            np.zeros((8, 3), np.float32).T,
            np.zeros(8, np.float32),
        ):
            with pytest.raises(ShapeError, match=r"float32 \[n, 8\], C-contiguous"):
                writer.write("0", 100, wrong)
        with pytest.raises(ShapeError, match="rows up to 273, found 272 to 274"):
            writer.write("0", 272, np.zeros((2, 8), np.float32))
        with pytest.raises(InputError, match="row >= 100, found 99"):
            writer.write("0", 99, np.zeros((2, 8), np.float32))
        with pytest.raises(NotFoundError, match="'1': expected 0, 3, block.2.mlp"):
            writer.write("1", 100, np.zeros((2, 8), np.float32))
        for rows in (99, 274):
            with pytest.raises(InputError, match="expected 100 to 273"):
                writer.commit(rows)


def test_headers_and_tables_that_cannot_be_are_refused():
    for changes in (
        {"dtype": "fp64"},
        {"pool": "max"},
        {"taps": ("0", "0", "1")},
        {"taps": ("0", "1", "a/b")},
        {"taps": (), "widths": ()},
        {"made": {"set": {1}}},
        {"made": {"ppl": float("nan")}},
    ):
        with pytest.raises(InputError):
            make_header(**changes)
    with pytest.raises(ShapeError):
        make_header(widths=(8, 8))
    tokens = make_tokens()
    for changes in (
        {"labels": tokens.labels[1:]},
        {"ids": tokens.ids.astype(np.int64)},
        {"first_row": tokens.first_row[1:]},
    ):
        with pytest.raises(ShapeError):
            dataclasses.replace(tokens, **changes)
    for changes in (
        {"first_row": tokens.first_row + 1},
        {"first_row": tokens.first_row[[0, 2, 1, 3, 4, 5, 6, 7, 8]]},
        {"document": tokens.document[::-1].copy()},
        {"digests": tokens.digests[:3]},
        {"digests": ("short", *tokens.digests[1:])},
    ):
        with pytest.raises(InputError):
            dataclasses.replace(tokens, **changes)
