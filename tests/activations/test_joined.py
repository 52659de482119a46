"""Parts read as one file: exactly as if one process had captured all of it."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from tests.activations.tiny_files import make_header, make_states, make_tokens
from transplant.activations.joined import join
from transplant.activations.layout import TokenTable
from transplant.activations.match_files import aligned_pairs
from transplant.activations.reader import Activations
from transplant.activations.writer import ActivationWriter
from transplant.errors import CorruptError, ExistsError, InputError, NotFoundError
from transplant.text.documents import Document
from transplant.text.splits import fingerprint

TEXTS = ((7, 50, 3), (), (64,), (64, 64, 20, 1), (), (5,), (33, 2), ())


def take(tokens: TokenTable, first: int, last: int) -> tuple[TokenTable, range]:
    """The table of some documents, and their rows in the whole."""
    windows = np.flatnonzero((tokens.document >= first) & (tokens.document < last))
    begin, end = (int(windows[0]), int(windows[-1]) + 1) if len(windows) else (0, 0)
    rows = range(int(tokens.first_row[begin]), int(tokens.first_row[end]))
    columns = {
        name: getattr(tokens, name)[rows.start : rows.stop] for name in ("ids", "labels", "ends")
    }
    part = TokenTable(
        **columns,
        first_row=tokens.first_row[begin : end + 1] - rows.start,
        document=(tokens.document[begin:end] - first).astype(np.int32),
        digests=tokens.digests[first:last],
    )
    return part, rows


class Scene:
    """One file of all documents, and parts that hold the same rows between them."""

    def __init__(self, folder, **changes):
        self.header = make_header(taps=("0", "50%b", "block.2.mlp"), **changes)
        self.documents = [Document(f"text {n}", "") for n in range(len(TEXTS))]
        self.digests = tuple(document.digest for document in self.documents)
        self.tokens = dataclasses.replace(make_tokens(TEXTS), digests=self.digests)
        everything = fingerprint(self.documents)
        self.header = dataclasses.replace(self.header, corpus_fingerprint=everything)
        self.single = self.capture(folder / "single.h5", self.tokens, range(self.tokens.rows))
        (folder / "parts").mkdir()
        self.parts = []
        for rank, (first, last) in enumerate(((0, 3), (3, 4), (4, 5), (5, 8))):
            self.parts.append(folder / "parts" / f"100%b of {rank}.h5")
            share = fingerprint(self.documents[first:last])
            changes = {"corpus_fingerprint": share, "made": {**self.header.made, "rank": rank}}
            self.capture(self.parts[-1], *take(self.tokens, first, last), **changes)

    def capture(self, path, tokens, rows, **changes):
        """Writes the rows that the whole file has there."""
        header = dataclasses.replace(self.header, **changes)
        with ActivationWriter.create(path, header, tokens) as writer:
            for tap in header.taps:
                writer.write(tap, 0, make_states(header, tap, rows.start, rows.stop))
            writer.commit(len(rows))
        return path


def bits(tensor: torch.Tensor) -> bytes:
    plain = tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor
    return plain.numpy().tobytes()


def same_reading(one: Activations, other: Activations) -> bool:
    assert one.header == other.header
    facts = ("rows", "committed", "complete", "windows", "documents", "digests")
    assert [getattr(one, f) for f in facts] == [getattr(other, f) for f in facts]
    for window in range(one.windows):
        assert one.rows_of_window(window) == other.rows_of_window(window)
    for document in range(one.documents):
        assert one.rows_of_document(document) == other.rows_of_document(document)
    for start, stop in ((0, None), (0, 0), (123, 125), (100, 300), (272, 280)):
        for tap in one.header.taps:
            read = [acts.tap(tap, start, stop) for acts in (one, other)]
            assert read[0].dtype == read[1].dtype
            assert bits(read[0]) == bits(read[1])
        tokens = [vars(acts.tokens(start, stop)) for acts in (one, other)]
        assert all(torch.equal(tokens[0][key], tokens[1][key]) for key in tokens[0])
    return True


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_joined_parts_read_as_one_file(tmp_path, dtype):
    scene = Scene(tmp_path, dtype=dtype)
    joined = tmp_path / "all.h5"
    join(scene.parts, joined)
    with Activations.open(scene.single) as one, Activations.open(joined) as other:
        assert same_reading(one, other)
        assert all(torch.equal(*rows) for rows in [aligned_pairs(one, other)])
    assert joined.stat().st_size < 100_000  # it refers to its parts
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.h5", "parts", "single.h5"]


def test_parts_lie_in_the_folder_of_the_joined_file(tmp_path):
    scene = Scene(tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"0\.h5 is to be joined in .*: expected a part in .*out"):
        join(scene.parts, tmp_path / "out" / "all.h5")
    assert not list((tmp_path / "out").iterdir())


def test_joined_parts_may_move_together(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    scene = Scene(tmp_path / "a")
    monkeypatch.chdir(tmp_path / "a")
    join([scene.parts[0].relative_to(tmp_path / "a"), *scene.parts[1:]], Path("j.h5"))
    monkeypatch.chdir("/")
    os.rename(tmp_path / "a", tmp_path / "b")
    (tmp_path / "link.h5").symlink_to(tmp_path / "b" / "j.h5")
    for path in (tmp_path / "b" / "j.h5", tmp_path / "link.h5"):
        with Activations.open(tmp_path / "b" / "single.h5") as one, Activations.open(path) as other:
            assert same_reading(one, other)


def test_joined_files_may_be_joined(tmp_path):
    scene = Scene(tmp_path)
    join(scene.parts[:2], tmp_path / "front.h5")
    join([tmp_path / "front.h5", *scene.parts[2:]], tmp_path / "all.h5")
    with Activations.open(scene.single) as one, Activations.open(tmp_path / "all.h5") as other:
        assert same_reading(one, other)


def test_the_fingerprint_of_all_documents_is_kept_where_parts_have_it(tmp_path):
    scene = Scene(tmp_path)
    one = tmp_path / "one.h5"
    join(scene.parts[:1], one)
    with Activations.open(one) as acts, Activations.open(scene.parts[0]) as part:
        assert acts.header == part.header


def test_a_lost_part_is_named_and_not_read_as_zeros(tmp_path):
    scene = Scene(tmp_path)
    join(scene.parts, tmp_path / "all.h5")
    last = scene.parts[-1]
    os.rename(last, tmp_path / "elsewhere.h5")
    with h5py.File(tmp_path / "all.h5") as file:  # the control: what HDF5 makes of it
        assert not file["taps/0"][-1].any()
    with pytest.raises(NotFoundError, match=r"100%b of 3\.h5, a part of .*all\.h5, is gone"):
        Activations.open(tmp_path / "all.h5")
    shutil.copy(scene.parts[0], last)
    with pytest.raises(CorruptError, match=r"100%b of 3\.h5 is not the part joined in"):
        Activations.open(tmp_path / "all.h5")
    os.rename(tmp_path / "elsewhere.h5", last)
    Activations.open(tmp_path / "all.h5").close()


@pytest.mark.parametrize(
    ("field", "value"),
    [("backbone_sha256", "d" * 64), ("window", 65), ("pool", "last"), ("widths", (8, 8, 6)),
     ("dtype", "fp16"), ("taps", ("0", "1", "2")), ("corpus", "python")],
)  # fmt: skip
def test_parts_that_disagree_are_refused(tmp_path, field, value):
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path, changes in zip(paths, ({}, {field: value}), strict=True):
        header, tokens = make_header(**changes), make_tokens(name=path.name)
        with ActivationWriter.create(path, header, tokens) as writer:
            writer.commit(tokens.rows)
    with pytest.raises(
        InputError, match=rf"b\.h5 has other {field} than .*a\.h5: expected .* found"
    ):
        join(paths, tmp_path / "all.h5")
    assert sorted(tmp_path.iterdir()) == paths


def test_what_cannot_be_joined_is_refused(tmp_path):
    scene = Scene(tmp_path)
    out = tmp_path / "all.h5"
    with pytest.raises(InputError, match="nothing to join"):
        join([], out)
    with pytest.raises(InputError, match="0.h5 holds a document of .*0.h5"):
        join([*scene.parts, scene.parts[0]], out)
    with ActivationWriter.create(tmp_path / "half.h5", make_header(), make_tokens()) as writer:
        writer.commit(20)
    with pytest.raises(InputError, match=r"half\.h5 is not complete: expected 273 rows, found 20"):
        join([*scene.parts, tmp_path / "half.h5"], out)
    with pytest.raises(NotFoundError):
        join([tmp_path / "none.h5"], out)
    assert not out.exists()
    join(scene.parts, out)
    with pytest.raises(ExistsError):
        join(scene.parts, out)
    with pytest.raises(InputError, match="joined from parts"):
        ActivationWriter.resume(out, scene.header, scene.tokens)
