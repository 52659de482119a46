"""A byte changed in a file of activations: noticed, or of no effect on anything that is read."""

from __future__ import annotations

import os
import random
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.activations.tiny_files import (
    as_version_1,
    make_header,
    make_tokens,
    write_file,
    write_rows,
)
from transplant.activations import rows as rows_file
from transplant.activations.capture import as_stored
from transplant.activations.checksums import row_sums
from transplant.activations.joined import join
from transplant.activations.reader import Activations
from transplant.activations.writer import ActivationWriter
from transplant.errors import CorruptError, NumericalError, TransplantError

SUM_OF_ROW_10 = 9566697634358622103


def everything(path) -> tuple:
    """All that training can read of a file."""
    with Activations.open(path) as acts:
        tokens = acts.tokens()
        return (
            acts.header,
            acts.digests,
            acts.first_row.tobytes(),
            acts.document.tobytes(),
            *(column.numpy().tobytes() for column in vars(tokens).values()),
            *(as_stored(acts.tap(tap)).tobytes() for tap in acts.header.taps),
        )


def flip(path: Path, place: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        value = file.read(1)[0]
        file.seek(place)
        file.write(bytes([value ^ (1 << bit)]))


def count_flips(path: Path, reads: Path, flips: int, seed: int) -> dict[str, int]:
    """Flips bits of `path`, one at a time; `reads` is read: the same, or joined from it."""
    whole = everything(reads)
    draw = random.Random(seed)
    found = {"detected": 0, "harmless": 0, "silent": 0}
    for _ in range(flips):
        place, bit = draw.randrange(path.stat().st_size), draw.randrange(8)
        flip(path, place, bit)
        try:
            found["harmless" if everything(reads) == whole else "silent"] += 1
        except TransplantError as error:
            found["detected"] += path.name in str(error) or reads.name in str(error)
        flip(path, place, bit)
    assert everything(reads) == whole
    assert sum(found.values()) == flips
    return found


@pytest.fixture
def small(tmp_path, small_chunks):  # noqa: ARG001  fewer bytes that nothing reads
    return write_file(tmp_path / "a.h5", make_header(), make_tokens())


def test_a_flipped_bit_is_detected_or_harmless(small):
    found = count_flips(small, small, 300, 0)
    assert found["silent"] == 0
    assert found["detected"] > 150


def test_a_flipped_bit_in_a_joined_file_or_a_part_is_detected_or_harmless(tmp_path, small):
    other = write_file(tmp_path / "b.h5", make_header(), make_tokens(((9,),), name="other"))
    join([small, other], tmp_path / "all.h5")
    for path in (tmp_path / "all.h5", other):
        found = count_flips(path, tmp_path / "all.h5", 100, 1)
        assert found["silent"] == 0
        assert found["detected"] > 10


def test_without_checksums_flips_are_silent(small):
    """The control."""
    found = count_flips(as_version_1(small), small, 100, 0)
    assert found["silent"] > 50


@pytest.mark.parametrize("dtype", ["bf16", "fp16", "fp32"])
def test_every_single_bit_of_a_row_changes_its_sum(dtype):
    width = 7
    states = {"bf16": np.uint16, "fp16": np.float16, "fp32": np.float32}[dtype]
    rows = np.random.default_rng(0).integers(0, 2**15, (1, width)).astype(states)
    sum_ = row_sums(rows, "3", 5)
    raw = rows.view(np.uint8)
    for place in range(raw.shape[1]):
        for bit in range(8):
            raw[0, place] ^= 1 << bit
            assert row_sums(rows, "3", 5) != sum_
            raw[0, place] ^= 1 << bit
    assert row_sums(rows, "3", 5) == sum_
    assert row_sums(rows, "3", 6) != sum_ != row_sums(rows, "4", 5)


def test_sums_are_the_same_in_every_version_and_however_rows_are_grouped():
    rows = np.arange(35, dtype=np.float32).reshape(5, 7)
    whole = row_sums(rows, "block.2.mlp", 10)
    assert row_sums(rows[2:].copy(), "block.2.mlp", 12).tolist() == whole[2:].tolist()
    assert whole[0] == SUM_OF_ROW_10


def test_rows_that_changed_places_are_damage(small):
    with h5py.File(small, "r+") as file:
        tap = file["taps/3"]
        tap[3], tap[4] = tap[4], tap[3]
    with pytest.raises(CorruptError, match="tap 3 at document 0, position 3 does not have its"):
        everything(small)


def test_a_row_that_was_never_written_is_damage(tmp_path):
    header, tokens, path = make_header(), make_tokens(), tmp_path / "a.h5"
    with ActivationWriter.create(path, header, tokens) as writer:
        write_rows(writer, header, 0, 100)
        writer.commit(100)
    with h5py.File(path, "r+") as file:
        file["committed"][0] = tokens.rows
    with pytest.raises(CorruptError, match="document 3, position 0 |position 40"):
        everything(path)


def test_rows_are_compared_once_and_again_where_the_file_has_changed(small, monkeypatch):
    compared = []

    def seen(rows, tap, first):
        compared.append((tap, first, len(rows)))
        return row_sums(rows, tap, first)

    monkeypatch.setattr(rows_file, "row_sums", seen)
    with Activations.open(small) as acts:
        first = acts.tap("3", 10, 20)
        acts.tap("0", 10, 20)
        assert compared == [("3", 10, 10), ("0", 10, 10)]
        assert acts.tap("3", 12, 20).equal(first[2:])
        assert len(compared) == 2
        acts.tap("3", 12, 21)  # one row more than is known
        assert compared[2:] == [("3", 12, 9)]
        os.utime(small)
        acts.tap("3", 10, 20)
        assert compared[3:] == [("3", 10, 10)]


def test_damage_while_a_file_is_open_is_noticed(small):
    with h5py.File(small) as file:
        sums = file["sums/3"]
        place = sums.id.get_chunk_info(0).byte_offset if sums.chunks else sums.id.get_offset()
        assert sums.chunks is None or sums.chunks[0] > 12
    with Activations.open(small) as acts:
        acts.tap("3", 10, 20)
        acts._store._datasets.clear()  # HDF5 keeps what it has read of an open data set
        flip(small, place + 8 * 12, 3)
        with pytest.raises(CorruptError, match="tap 3 at document 0, position 12 does not have"):
            acts.tap("3", 10, 20)


def test_a_file_without_checksums_is_read_with_a_note(small):
    whole = everything(small)
    with Activations.open(small) as acts:
        assert (acts.checked, acts.note) == (True, None)
    as_version_1(small)
    assert everything(small) == whole
    with Activations.open(small) as acts:
        assert not acts.checked
        assert "has no checksums" in str(acts.note)


def test_a_file_without_checksums_is_resumed_without(tmp_path):
    header, tokens = make_header(), make_tokens()
    path = tmp_path / "a.h5"
    with ActivationWriter.create(path, header, tokens) as writer:
        write_rows(writer, header, 0, 100)
        writer.commit(100)
    with ActivationWriter.resume(as_version_1(path), header, tokens) as writer:
        write_rows(writer, header, 100, tokens.rows)
        writer.commit(tokens.rows)
    assert everything(path) == everything(write_file(tmp_path / "b.h5", header, tokens))


def test_joined_files_without_checksums_are_read_with_a_note(tmp_path):
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path in paths:
        write_file(path, make_header(), make_tokens(name=path.name))
    joined = tmp_path / "all.h5"
    join(paths, joined)
    whole = everything(joined)
    as_version_1(paths[0])
    with pytest.raises(CorruptError, match=r"a\.h5 is not the part joined in"):
        everything(joined)
    for path in (paths[1], joined):
        as_version_1(path)
    assert everything(joined) == whole
    with Activations.open(joined) as acts:
        assert "all.h5 has no checksums" in str(acts.note)


def test_no_numbers_in_a_file_from_before_are_named(small):
    with h5py.File(as_version_1(small), "r+") as file:
        file["taps/3"][61, 2] = np.inf
    with pytest.raises(
        NumericalError, match=r"tap 3 at document 2, position 1 of .*a\.h5, value 2"
    ):
        everything(small)
