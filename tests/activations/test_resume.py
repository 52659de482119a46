"""Resuming: to the same bytes, and of nothing but what was begun."""

from __future__ import annotations

import dataclasses
import os

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
from transplant.errors import CorruptError, InputError, NotFoundError, StorageError


@pytest.mark.usefixtures("small_chunks")
def test_resume_writes_again_what_was_not_committed(tmp_path):
    header, tokens = make_header(), make_tokens()
    whole = write_file(tmp_path / "a.h5", header, tokens)
    path = tmp_path / "b.h5"
    with ActivationWriter.create(path, header, tokens) as writer:
        write_rows(writer, header, 0, 100)
        writer.commit(90)
        writer.write("0", 100, np.full((50, 8), 7.0, np.float32))  # will not stay
    with ActivationWriter.resume(path, header, tokens) as writer:
        assert (writer.committed, writer.rows) == (90, tokens.rows)
        write_rows(writer, header, 90, tokens.rows)
        assert sha256(path) != sha256(whole)
        writer.commit(tokens.rows)
    assert sha256(path) == sha256(whole)


OTHERS = {
    "backbone": "ref-llama",
    "backbone_sha256": "d" * 64,
    "tokenizer_sha256": "d" * 64,
    "corpus_fingerprint": "d" * 64,
    "window": 65,
    "pool": "mean",
    "dtype": "bf16",
    "taps": ("0", "3", "block.1.mlp"),
    "widths": (8, 8, 6),
    "made": {"taps": "all", "seed": 4},
}


@pytest.mark.parametrize("field", OTHERS)
def test_another_header_is_not_resumed(tmp_path, field):
    header, tokens = make_header(), make_tokens()
    path = write_file(tmp_path / "a.h5", header, tokens)
    with pytest.raises(InputError, match=f"begun with other {field}: expected .* `resume`") as info:
        ActivationWriter.resume(path, make_header(**{field: OTHERS[field]}), tokens)
    assert info.value.expected == getattr(header, field)
    assert info.value.found == OTHERS[field]
    ActivationWriter.resume(path, header, tokens).close()  # and lets go of the file


@pytest.mark.parametrize("field", ["ids", "labels", "ends", "first_row", "document", "digests"])
def test_other_tokens_are_not_resumed(tmp_path, field):
    header, tokens = make_header(), make_tokens()
    path = write_file(tmp_path / "a.h5", header, tokens)
    if field == "digests":
        changed = (*tokens.digests[:3], "e" * 64)
    else:
        changed = getattr(tokens, field).copy()
        changed[3] -= 1
    other = dataclasses.replace(tokens, **{field: changed})
    with pytest.raises(InputError, match=f"other .*{field[:6]}.*: expected .* at 3, found"):
        ActivationWriter.resume(path, header, other)
    with pytest.raises(InputError, match="other ids: expected 273 entries, found 2"):
        ActivationWriter.resume(path, header, make_tokens(((2,),)))


def test_what_is_no_such_file_is_not_resumed(tmp_path):
    header, tokens = make_header(), make_tokens()
    with pytest.raises(NotFoundError, match="no file"):
        ActivationWriter.resume(tmp_path / "a.h5", header, tokens)
    path = write_file(tmp_path / "a.h5", header, tokens)
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(CorruptError, match="truncated"):
        ActivationWriter.resume(path, header, tokens)
    path.write_text('{"rows": 3}')
    with pytest.raises(CorruptError, match="no whole HDF5 file"):
        ActivationWriter.resume(path, header, tokens)


def test_a_second_writer_is_refused_and_readers_are_not(tmp_path):
    header, tokens, path = make_header(), make_tokens(), tmp_path / "a.h5"
    with ActivationWriter.create(path, header, tokens):
        with pytest.raises(StorageError, match=r"another process writes .*a\.h5"):
            ActivationWriter.resume(path, header, tokens)
        assert same_rows(path, header, 0)
    held = ActivationWriter.resume(path, header, tokens)
    with pytest.raises(StorageError, match="another process writes"):
        ActivationWriter.resume(path, header, tokens)
    held.close()
    ActivationWriter.resume(path, header, tokens).close()
