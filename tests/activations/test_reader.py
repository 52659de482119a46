"""Reading a file: the bits that went in, the rows that are asked for, and named errors."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random

import h5py
import numpy as np
import pytest
import torch

from tests.activations.test_writer import (
    make_header,
    make_states,
    make_tokens,
    small_chunks,  # noqa: F401  a fixture
    write_file,
    write_rows,
)
from transplant.activations.layout import TokenTable
from transplant.activations.pairing import aligned_pairs
from transplant.activations.reader import Activations
from transplant.activations.writer import ActivationWriter
from transplant.errors import CorruptError, InputError, NotFoundError, VersionError


@pytest.fixture
def acts_path(tmp_path):
    return write_file(tmp_path / "a.h5", make_header(), make_tokens())


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_every_bit_pattern_comes_back(tmp_path, dtype):
    """NaN payloads, -0.0 and subnormal numbers among them."""
    header = make_header(dtype=dtype, taps=("0",), widths=(240,))
    bits = np.resize(np.arange(2**16, dtype=np.uint16), (273, 240))
    assert len(np.unique(bits)) == 65_520
    bits[0, :16] = np.arange(65_520, 65_536)
    with ActivationWriter.create(tmp_path / "a.h5", header, make_tokens()) as writer:
        writer.write("0", 0, bits.view(np.float16) if dtype == "fp16" else bits)
        writer.commit(273)
    with Activations.open(tmp_path / "a.h5") as acts:
        states = acts.tap("0")
    assert states.dtype == {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    np.testing.assert_array_equal(states.view(torch.uint16).numpy(), bits)
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
            InputError, match=r"not complete: expected 273 rows, found 150.*abi capture .* --resume"
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
        acts.check_made_by("a" * 64, "b" * 64, "ref-gpt2")
        with pytest.raises(InputError, match="weights: expected a{12}, found d{12}\\."):
            acts.check_made_by("d" * 64, "b" * 64, "mine")
        with pytest.raises(
            InputError, match="mine has other tokenizer: expected b{12}, found d{12}"
        ):
            acts.check_made_by("a" * 64, "d" * 64, "mine")


def test_a_file_cut_short_is_named_wherever_it_is_cut(acts_path):
    size = acts_path.stat().st_size
    for kept in (size - 1, size - 2**20, size // 2, 5000, 600, 40, 8, 0):
        os.truncate(acts_path, kept)
        with pytest.raises(CorruptError, match=r"a\.h5 .*found .* Try: abi capture it again"):
            Activations.open(acts_path)


def test_what_is_no_file_of_activations_is_named(tmp_path):
    path = tmp_path / "a.h5"
    with pytest.raises(NotFoundError, match=r"no file .*a\.h5"):
        Activations.open(path)
    for content in (random.Random(0).randbytes(10_000), json.dumps({"rows": 3}).encode()):
        path.write_bytes(content)
        with pytest.raises(CorruptError, match="no whole HDF5 file: found .*signature not found"):
            Activations.open(path)
    with h5py.File(path, "w") as file:
        file["ids"] = np.arange(3)
    with pytest.raises(CorruptError, match="holds no activations: expected .* schema_version"):
        Activations.open(path)
    with pytest.raises(CorruptError, match="no whole HDF5 file"):
        Activations.open(tmp_path)


DATASETS = (
    "ids", "labels", "ends", "windows/first_row", "windows/document", "documents/digest",
    "taps/block.2.mlp", "committed",
)  # fmt: skip


@pytest.mark.parametrize("name", DATASETS)
def test_a_missing_or_changed_dataset_is_named(acts_path, name):
    with h5py.File(acts_path, "r+") as file:
        length = len(file[name])
        del file[name]
    with pytest.raises(CorruptError, match=f"damaged: found no dataset {name}"):
        Activations.open(acts_path)
    with h5py.File(acts_path, "r+") as file:
        file[name] = np.full((length + 1, 2), 10**6, np.int64)
    with pytest.raises(CorruptError, match="damaged: found "):
        Activations.open(acts_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("pool", None), ("taps", "[1"), ("taps", '["9"]'), ("taps", "[3]"), ("window", "x"),
     ("dtype", "fp64"), ("dtype", "fp16"), ("made", "[")],
)  # fmt: skip
def test_a_damaged_attribute_is_a_damaged_file(acts_path, name, value):
    with h5py.File(acts_path, "r+") as file:
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = np.bytes_(value)
    with pytest.raises(CorruptError, match=r"a\.h5 is damaged"):
        Activations.open(acts_path)


def test_a_newer_file_asks_for_a_newer_abi(acts_path):
    with h5py.File(acts_path, "r+") as file:
        file.attrs["schema_version"] = 2
    with pytest.raises(VersionError, match="expected schema 1, found 2. Try: a newer abi"):
        Activations.open(acts_path)


def tokenized(texts, draw, *, skip=0.0, window=40):
    """A table of tokens that end at random characters; some at the same one, as bytes do.

    Args:
        texts: name -> number of characters, in the order of the file.
        draw: the randomness.
        skip: the share of rows that a window does not have, at its front, as in T5.
        window: tokens in a window.
    """
    ends, lengths, document = [], [], []
    for number, length in enumerate(texts.values()):
        of_one = sorted(draw.choices(range(1, length + 1), k=length // 2))
        for start in range(0, len(of_one), window):
            kept = of_one[start : start + window]
            kept = kept[int(len(kept) * skip) :]
            ends += kept
            lengths.append(len(kept))
            document.append(number)
    rows = len(ends)
    return TokenTable(
        ids=np.zeros(rows, np.int32),
        labels=np.zeros(rows, np.int32),
        ends=np.array(ends, np.int32),
        first_row=np.cumsum([0, *lengths]).astype(np.int64),
        document=np.array(document, np.int32),
        digests=tuple(hashlib.sha256(name.encode()).hexdigest() for name in texts),
    )


def oracle(a: TokenTable, b: TokenTable) -> list[tuple[int, int]]:
    def last_rows(table: TokenTable) -> dict[tuple[str, int], int]:
        rows = {}
        for window, (first, last) in enumerate(
            zip(table.first_row, table.first_row[1:], strict=False)
        ):
            for row in range(first, last):
                rows[table.digests[table.document[window]], int(table.ends[row])] = row
        return rows

    of_a, of_b = last_rows(a), last_rows(b)
    return sorted((row, of_b[key]) for key, row in of_a.items() if key in of_b)


@pytest.mark.parametrize("skip", [0.0, 0.5])
def test_aligned_pairs_are_those_of_brute_force(tmp_path, skip):
    draw = random.Random(skip)
    texts = {f"text {n}": draw.randrange(2, 400) for n in range(12)}
    other = dict(draw.sample([*texts.items(), ("only b", 90), ("empty", 1)], 11))
    a, b = tokenized(texts, draw), tokenized(other, draw, skip=skip, window=25)
    header = make_header(taps=("0",), widths=(2,))
    paths = [write_file(tmp_path / f"{n}.h5", header, t) for n, t in enumerate((a, b))]
    with Activations.open(paths[0]) as left, Activations.open(paths[1]) as right:
        rows_a, rows_b = aligned_pairs(left, right)
        pairs = list(zip(rows_a.tolist(), rows_b.tolist(), strict=True))
        assert pairs == oracle(a, b)
        assert len(pairs) > 50
        assert rows_a.dtype == rows_b.dtype == torch.int64
        back = aligned_pairs(right, left)
        assert sorted(zip(*[rows.tolist() for rows in back[::-1]], strict=True)) == sorted(pairs)
        itself = aligned_pairs(left, left)
        assert torch.equal(*itself)


def test_files_of_other_texts_do_not_pair(tmp_path):
    header, tokens = make_header(), make_tokens()
    one = write_file(tmp_path / "a.h5", header, tokens)
    two = write_file(tmp_path / "b.h5", header, make_tokens(name="other"))
    with Activations.open(one) as a, Activations.open(two) as b:
        assert [len(rows) for rows in aligned_pairs(a, b)] == [0, 0]
    pooled = write_file(tmp_path / "c.h5", dataclasses.replace(header, pool="mean"), tokens)
    with Activations.open(one) as a, Activations.open(pooled) as b:
        for sides in ((a, b), (b, a)):
            with pytest.raises(InputError, match=r"c\.h5 are windows: expected --pool none"):
                aligned_pairs(*sides)
