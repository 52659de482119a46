"""A file that is damaged, or something else, is named."""

from __future__ import annotations

import json
import os
import random

import h5py
import numpy as np
import pytest

from transplant.activations.reader import Activations
from transplant.errors import CorruptError, NotFoundError, VersionError


def test_a_file_cut_short_is_named_wherever_it_is_cut(acts_path):
    size = acts_path.stat().st_size
    for kept in (size - 1, size - 2**20, size // 2, 5000, 600, 40, 8, 0):
        os.truncate(acts_path, kept)
        with pytest.raises(CorruptError, match=r"a\.h5 .*found .* Try: `capture\(\)` it again"):
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
        file.attrs["schema_version"] = 3
    with pytest.raises(VersionError, match="expected schema 2, found 3. Try: a newer abi"):
        Activations.open(acts_path)
