"""HDF5 that leads elsewhere, or is made as no file of activations is: a named error, in no time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import h5py
import numpy as np
import pytest

from tests.activations.tiny_files import as_version_1, make_header, make_tokens, write_file
from transplant.activations.joined import join
from transplant.activations.reader import Activations
from transplant.activations.writer import ActivationWriter
from transplant.errors import CorruptError, TransplantError


def read(path) -> None:
    with Activations.open(path) as acts:
        acts.tokens()
        for tap in acts.header.taps:
            acts.tap(tap)


def moved(name: str, make: Callable[[h5py.File, str], object]) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file.move(name, "aside")
        make(file, name)

    return change


def soft(file, name):
    file[name] = h5py.SoftLink("/aside")


def other_file(file, name):
    file[name] = h5py.ExternalLink("other.h5", name)


def hard(file, name):
    del file["aside"]
    file[name] = file["taps/0"]


def view(file, name):
    held = file["aside"]
    layout = h5py.VirtualLayout(held.shape, held.dtype)
    layout[:] = h5py.VirtualSource(".", "aside", held.shape)
    file.create_virtual_dataset(name, layout)


def outside(file, name):
    held = file["aside"]
    file.create_dataset(
        name, held.shape, held.dtype, external=[("/etc/passwd", 0, held.size * held.dtype.itemsize)]
    )


def filtered(file, name):
    file.create_dataset(name, data=file["aside"][...], compression="gzip")


def never_stored(file, name):
    file.create_dataset(name, file["aside"].shape, file["aside"].dtype)


def huge(file, name):
    file.create_dataset(name, (2**40, *file["aside"].shape[1:]), file["aside"].dtype, chunks=True)


def objects(file, name):
    file.create_dataset(name, (273,), h5py.string_dtype())


def null(file, name):
    file[name] = h5py.Empty("f4")


def group(file, name):
    file.create_group(name)


def scalar(file, name):
    file[name] = 3.0


DETOURS = [
    soft, other_file, view, outside, filtered, never_stored, huge, objects, null, group, scalar,
]  # fmt: skip
NAMES = ["ids", "windows/first_row", "windows/document", "documents/digest", "taps/3", "committed"]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("detour", DETOURS, ids=lambda made: made.__name__)
def test_no_detour_is_taken(tmp_path, version, name, detour):
    path = write_file(tmp_path / "a.h5", make_header(), make_tokens())
    write_file(tmp_path / "other.h5", make_header(), make_tokens())
    if version == 1:
        as_version_1(path)
    read(path)  # the control
    with h5py.File(path, "r+") as file:
        moved(name, detour)(file)
    with pytest.raises(CorruptError, match=r"a\.h5 is damaged: found "):
        read(path)
    with pytest.raises(CorruptError, match=r"a\.h5 is damaged: found "):
        ActivationWriter.resume(path, make_header(), make_tokens())


@pytest.mark.parametrize("version", [1, 2])
def test_two_taps_are_two_datasets(tmp_path, version):
    path = write_file(tmp_path / "a.h5", make_header(), make_tokens())
    if version == 1:
        as_version_1(path)
    with h5py.File(path, "r+") as file:
        moved("taps/3", hard)(file)
    with pytest.raises(CorruptError, match="taps/3 is the same dataset as taps/0"):
        read(path)


def test_a_group_that_is_a_link_is_refused(acts_path):
    with h5py.File(acts_path, "r+") as file:
        file.move("windows", "aside")
        file["windows"] = h5py.SoftLink("/aside")
    with pytest.raises(CorruptError, match="is a link to another name or file"):
        read(acts_path)


TABLES = {
    "windows/first_row": (-1, 2**40),
    "windows/document": (-1, 4, 2**31 - 1),
    "committed": (-1, 274, 2**60),
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", TABLES)
def test_tables_that_cannot_be_are_named(tmp_path, version, name):
    path = write_file(tmp_path / "a.h5", make_header(), make_tokens())
    if version == 1:
        as_version_1(path)
    for value in TABLES[name]:
        with h5py.File(path, "r+") as file:
            held = file[name][0]
            file[name][0] = value
        with pytest.raises(CorruptError, match=r"a\.h5 is damaged"):
            read(path)
        with h5py.File(path, "r+") as file:
            file[name][0] = held


@pytest.mark.parametrize("name", ["backbone", "made", "taps", "window", "schema_version"])
@pytest.mark.parametrize(
    "value", ["text", 3.5, [1, 2], b"", b"\xff", b"null", h5py.Empty("f4"), b"[" * 10_000]
)
def test_attributes_of_other_types_are_named(acts_path, name, value):
    with h5py.File(as_version_1(acts_path), "r+") as file:
        file.attrs[name] = np.bytes_(value) if isinstance(value, bytes) else value
    if (name, value) == ("backbone", b""):
        return  # a name
    if name == "backbone" and isinstance(value, bytes):
        read(acts_path)  # any text is one
        return
    with pytest.raises(TransplantError, match=r"a\.h5 (is damaged|holds no activations)"):
        read(acts_path)


def pipe(path):
    os.mkfifo(path)


@pytest.mark.parametrize("make", [pipe, os.mkdir, lambda path: open(path, "w").close()])
def test_what_is_no_file_is_named_at_once(tmp_path, make):
    make(path := tmp_path / "a.h5")
    began = time.monotonic()
    with pytest.raises(CorruptError, match=r"a\.h5 is no whole HDF5 file"):
        read(path)
    with pytest.raises(CorruptError, match=r"a\.h5 is no whole HDF5 file"):
        ActivationWriter.resume(path, make_header(), make_tokens())
    assert time.monotonic() - began < 2


class TestJoined:
    @pytest.fixture
    def joined(self, tmp_path):
        (tmp_path / "home").mkdir()
        parts = [tmp_path / "home" / name for name in ("a.h5", "b.h5")]
        for part in parts:
            write_file(part, make_header(), make_tokens(name=part.name))
        join(parts, tmp_path / "home" / "all.h5")
        os.link(parts[0], tmp_path / "out.h5")
        return tmp_path / "home" / "all.h5"

    @pytest.mark.parametrize(
        "place", ["../out.h5", "../home/a.h5", "/etc/passwd", "", ".", "all.h5", 3, None]
    )
    def test_a_part_lies_in_the_folder(self, joined, place):
        with h5py.File(joined, "r+") as file:
            parts = json.loads(file.attrs["parts"])
            parts[0]["file"] = place
            file.attrs["parts"] = np.bytes_(json.dumps(parts))
        with pytest.raises(CorruptError, match=r"all\.h5 is damaged"):
            read(joined)

    def test_views_of_other_files_are_refused_without_a_list_too(self, joined):
        for name in ("a.h5", "b.h5", "all.h5"):
            as_version_1(joined.with_name(name))
        read(joined)
        with h5py.File(joined, "r+") as file:
            del file["taps/3"]
            layout = h5py.VirtualLayout((546, 8), np.float32)
            layout[:273] = h5py.VirtualSource("../out.h5", "taps/3", (273, 8))
            layout[273:] = h5py.VirtualSource("b.h5", "taps/3", (273, 8))
            file.create_virtual_dataset("taps/3", layout)
        with pytest.raises(CorruptError, match="views of the file are of different parts"):
            read(joined)

    def test_views_of_another_tap_are_refused(self, joined):
        for name in ("a.h5", "b.h5", "all.h5"):
            as_version_1(joined.with_name(name))
        with h5py.File(joined, "r+") as file:
            del file["taps/3"]
            layout = h5py.VirtualLayout((546, 8), np.float32)
            for n, part in enumerate(("a.h5", "b.h5")):
                layout[273 * n : 273 * n + 273] = h5py.VirtualSource(part, "taps/0", (273, 8))
            file.create_virtual_dataset("taps/3", layout)
        with pytest.raises(CorruptError, match="taps/3 is no view of the rows of its parts"):
            read(joined)

    def test_a_link_to_a_part_elsewhere_is_refused(self, joined):
        part = joined.with_name("a.h5")
        part.rename(joined.parent.parent / "moved.h5")
        part.symlink_to(joined.parent.parent / "moved.h5")
        with pytest.raises(TransplantError, match=r"part a\.h5 of .* lies outside its folder"):
            read(joined)
