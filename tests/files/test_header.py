"""The header of a safetensors file is read by one strict reader, wherever the file comes from."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from transplant.backbones.folder import check_folder
from transplant.errors import BackboneError, CorruptError
from transplant.files.header import BITS, header_bytes, read_header
from transplant.files.safetensors import hash_tensors

DTYPES = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}


def raw(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + text + data)
    return path


def entry(begin: int, end: int, **fields: Any) -> dict[str, Any]:
    return {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end], **fields}


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def test_header_spans_hold_the_bytes_that_safetensors_wrote(tmp_path: Path) -> None:
    tensors = {name: torch.randn(2, 3).to(dtype) for name, dtype in DTYPES.items()}
    save_file(tensors, tmp_path / "w", metadata={"format": "pt"})
    header, data = read_header(tmp_path / "w"), (tmp_path / "w").read_bytes()
    assert header.metadata == {"format": "pt"}
    for name, span in header.tensors.items():
        assert (span.dtype, span.shape) == (name, (2, 3))
        assert data[span.begin : span.end] == bytes_of(tensors[name])


def test_written_header_is_read_by_safetensors(tmp_path: Path) -> None:
    names = [("ä", "F32", (2, 2)), ("none", "F32", (0,)), ("one", "F32", ())]
    start = header_bytes(names, {"format": "pt"})
    assert len(start) % 8 == 0
    (tmp_path / "w").write_bytes(start + torch.arange(5.0).numpy().tobytes())
    loaded = load_file(tmp_path / "w")
    assert loaded["ä"].tolist() == [[0, 1], [2, 3]]
    assert loaded["one"].item() == 4


BROKEN: dict[str, tuple[Any, bytes, int | None]] = {
    "no JSON": (b"{", b"", None),
    "a list": ([], b"", None),
    "longer than the file": ({}, b"", 99),
    "doubled key": (b'{"a": 1, "a": 1}', b"", None),
    "NaN": (b'{"a": NaN}', b"", None),
    "deep": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"", None),
    "not UTF-8": (b'{"\xff": 1}', b"", None),
    "a gap": ({"a": entry(0, 1), "b": entry(2, 3)}, b"123", None),
    "an overlap": ({"a": entry(0, 2), "b": entry(1, 3)}, b"123", None),
    "bytes too few": ({"a": entry(0, 4)}, b"123", None),
    "bytes too many": ({"a": entry(0, 2)}, b"123", None),
    "an unknown dtype": ({"a": entry(0, 1, dtype="X9")}, b"1", None),
    "a list as dtype": ({"a": entry(0, 1, dtype=[])}, b"1", None),
    "another shape": ({"a": entry(0, 2, shape=[3])}, b"12", None),
    "a negative shape": ({"a": entry(0, 2, shape=[-1, -2])}, b"12", None),
    "a bool": ({"a": entry(0, 1, shape=[True])}, b"1", None),
    "a control character": ({"a\n": entry(0, 1)}, b"1", None),
    "no string": ({"__metadata__": {"a": 1}}, b"", None),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_header_is_refused_whoever_reads_it(case: str, tmp_path: Path) -> None:
    file = raw(tmp_path / "model.safetensors", BROKEN[case][0], *BROKEN[case][1:])
    for read in (read_header, hash_tensors):
        with pytest.raises(CorruptError, match=r"model\.safetensors: expected"):
            read(file)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BackboneError, match=r"cannot load .*model\.safetensors.*expected"):
        check_folder(tmp_path)
    raw(file, {"a": entry(0, 2)}, b"12")  # the control
    assert check_folder(tmp_path) == {"a": ("U8", (2,))}
    assert [*read_header(file).tensors] == [*hash_tensors(file)] == ["a"]


@pytest.mark.parametrize("dtype", BITS)
def test_every_dtype_of_the_format_has_the_size_that_safetensors_gives_it(
    dtype: str, tmp_path: Path
) -> None:
    size = 8 * BITS[dtype] // 8
    for data, fits in ((bytes(size), True), (bytes(size + 1), False)):
        file = raw(tmp_path / "w", {"a": entry(0, len(data), dtype=dtype, shape=[8])}, data)
        wanted = nullcontext() if fits else pytest.raises(SafetensorError)
        with wanted, safe_open(file, "np") as opened:
            assert opened.keys() == ["a"]
        with nullcontext() if fits else pytest.raises(CorruptError):
            assert read_header(file).tensors["a"].size == size


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w")
    with pytest.raises(CorruptError, match="a named pipe"):
        read_header(tmp_path / "w")


def test_short_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"123")
    for name in ("w", "absent"):
        with pytest.raises(CorruptError, match=name):
            read_header(tmp_path / name)
