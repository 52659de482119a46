"""Reading a file: the bits that went in, the rows that are asked for, and named errors."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest
import torch

from tests.activations.tiny_files import (
    as_version_1,
    make_header,
    make_states,
    make_tokens,
    write_file,
    write_rows,
)
from transplant.activations.finite import INFINITY
from transplant.activations.reader import Activations
from transplant.activations.writer import ActivationWriter
from transplant.errors import InputError, NotFoundError


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_every_finite_bit_pattern_comes_back(tmp_path, dtype):
    """-0.0 and subnormal numbers among them."""
    header = make_header(dtype=dtype, taps=("0",), widths=(240,))
    every = np.arange(2**16, dtype=np.uint16)
    finite = every[(every & 0x7FFF) < INFINITY[dtype]]
    bits = np.resize(finite, (273, 240))
    assert len(np.unique(bits)) == len(finite) > 63_000
    with ActivationWriter.create(tmp_path / "a.h5", header, make_tokens()) as writer:
        writer.write("0", 0, bits.view(np.float16) if dtype == "fp16" else bits)
        writer.commit(273)
    with Activations.open(tmp_path / "a.h5") as acts:
        states = acts.tap("0")
    assert states.dtype == {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    np.testing.assert_array_equal(states.view(torch.uint16).numpy(), bits)
    assert states.isfinite().all()
    assert float(states.flatten()[bits.flatten() == 0xBF80][0]) == (
        -1.0 if dtype == "bf16" else -1.875
    )


def test_float32_comes_back_bit_for_bit(acts_path):
    header = make_header()
    with Activations.open(acts_path) as acts:
        assert acts.header == header
        for tap in header.taps:
            assert acts.tap(tap).dtype == torch.float32
            assert acts.tap(tap).numpy().tobytes() == make_states(header, tap, 0, 273).tobytes()


def test_a_header_comes_back_whatever_it_holds(tmp_path):
    names = {"backbone": "", "corpus": "/data/été \udcff/%b", "taps": ("0", "blöck", "a b")}
    header = make_header(**names, made={"long": "x" * 200_000, "list": (1, None, 2.5, {"é": True})})
    with Activations.open(write_file(tmp_path / "a.h5", header, make_tokens())) as acts:
        assert acts.header == header
        assert acts.header.made["list"] == [1, None, 2.5, {"é": True}]
        assert len(acts.tap("blöck")) == 273


@pytest.mark.usefixtures("small_chunks")
def test_any_range_of_rows_is_read_across_chunks(tmp_path):
    header = make_header()
    path = write_file(tmp_path / "a.h5", header, make_tokens())
    whole = make_states(header, "0", 0, 273)
    edges = [0, 1, 30, 31, 32, 61, 62, 63, 124, 272, 273]  # a chunk has 31 rows
    with Activations.open(path) as acts:
        for start in edges:
            for stop in edges:
                if start <= stop:
                    read = acts.tap("0", start, stop).numpy()
                    assert read.tobytes() == whole[start:stop].tobytes()
        for start, stop in ((-1, 3), (5, 4), (0, 274)):
            with pytest.raises(InputError, match="expected 0 to 273"):
                acts.tap("0", start, stop)


def test_batches_cover_the_rows_once(acts_path):
    with Activations.open(acts_path) as acts:
        batches = list(acts.batches(100))
        assert batches == [range(100), range(100, 200), range(200, 273)]
        with pytest.raises(InputError, match="at least 1"):
            next(acts.batches(0))


def test_rows_know_their_windows_and_documents(acts_path):
    tokens = make_tokens()
    with Activations.open(acts_path) as acts:
        assert (acts.rows, acts.windows, acts.documents) == (273, 8, 4)
        assert acts.digests == tokens.digests
        read = acts.tokens(5, 200)
        for name in ("ids", "labels", "ends"):
            assert getattr(read, name).dtype == torch.int64
            assert getattr(read, name).tolist() == getattr(tokens, name)[5:200].tolist()
        for row, window in zip(range(5, 200), read.windows.tolist(), strict=True):
            assert row in acts.rows_of_window(window)
        assert [len(acts.rows_of_window(w)) for w in range(8)] == [7, 50, 3, 64, 64, 64, 20, 1]
        of_documents = [acts.rows_of_document(d) for d in range(4)]
        assert of_documents == [range(60), range(60, 60), range(60, 124), range(124, 273)]
        for call in (acts.rows_of_window, acts.rows_of_document):
            for number in (-1, 8):
                with pytest.raises(InputError, match="expected 0 to"):
                    call(number)


def test_windows_without_rows_have_none(tmp_path):
    path = write_file(tmp_path / "a.h5", make_header(), make_tokens(((0, 3, 0), (2, 0))))
    with Activations.open(path) as acts:
        assert acts.tokens().windows.tolist() == [1, 1, 1, 3, 3]
        assert [len(acts.rows_of_window(w)) for w in range(5)] == [0, 3, 0, 2, 0]
        assert [acts.rows_of_document(d) for d in range(2)] == [range(3), range(3, 5)]


def test_an_unfinished_file_is_read_only_where_asked_and_only_so_far(tmp_path):
    header, tokens, path = make_header(), make_tokens(), tmp_path / "a.h5"
    with ActivationWriter.create(path, header, tokens) as writer:
        write_rows(writer, header, 0, 200)
        writer.commit(150)
        with pytest.raises(
            InputError, match=r"not complete: expected 273 rows, found 150.*`capture\(.*resume=True"
        ):
            Activations.open(path)
        with Activations.open(path, partial=True) as acts:
            assert (acts.complete, acts.rows, acts.committed) == (False, 273, 150)
            assert len(acts.tap("3")) == len(acts.tokens().ids) == 150
            assert list(acts.batches(100))[-1] == range(100, 150)
            with pytest.raises(InputError, match="0 to 150"):
                acts.tap("3", 0, 151)
            write_rows(writer, header, 150, 273)
            writer.commit(273)
            assert acts.committed == 150  # as it was opened
        with Activations.open(path) as acts:
            assert acts.complete
            assert acts.tap("3").numpy().tobytes() == make_states(header, "3", 0, 273).tobytes()


def test_a_tap_that_is_not_there_is_named_with_those_that_are(acts_path):
    with (
        Activations.open(acts_path) as acts,
        pytest.raises(NotFoundError, match=r"tap '7' of .*: expected one of 0, 3, block.2.mlp"),
    ):
        acts.tap("7")


def test_another_backbone_is_refused(acts_path):
    with Activations.open(acts_path) as acts:
        acts.check_made_by(acts.header, "ref-gpt2")
        for field, message in (
            ("backbone_sha256", "weights: expected a{12}, found d{12}\\."),
            ("tokenizer_sha256", "mine has other tokenizer: expected b{12}, found d{12}"),
            ("config_sha256", "mine has other configuration: expected c{12}, found d{12}"),
        ):
            other = dataclasses.replace(acts.header, **{field: "d" * 64})
            with pytest.raises(InputError, match=message):
                acts.check_made_by(other, "mine")


def test_a_file_without_a_configuration_is_read_as_it_is(acts_path):
    with h5py.File(as_version_1(acts_path), "r+") as file:
        del file.attrs["config_sha256"]
    with Activations.open(acts_path) as acts:
        assert acts.header.config_sha256 is None
        acts.check_made_by(dataclasses.replace(acts.header, config_sha256="d" * 64), "mine")
