from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from transplant.errors import CorruptError
from transplant.paste import stream
from transplant.paste.header import TensorSpan, header_bytes, read_header

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
def test_broken_header_is_refused(case: str, tmp_path: Path) -> None:
    with pytest.raises(CorruptError, match="w: expected"):
        read_header(raw(tmp_path / "w", BROKEN[case][0], *BROKEN[case][1:]))


def test_short_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"123")
    for name in ("w", "absent"):
        with pytest.raises(CorruptError, match=name):
            read_header(tmp_path / name)


@pytest.mark.parametrize("name", DTYPES)
def test_nonfinite_numbers_are_counted_in_every_dtype(name: str) -> None:
    dtype = DTYPES[name]
    info = torch.finfo(dtype)
    fine = torch.tensor([0.0, -0.0, info.max, info.min, info.tiny, info.smallest_normal / 2])
    fine = torch.cat([fine.to(dtype) if dtype != torch.float64 else fine.double()] * 7)
    fine[2::6], fine[3::6] = info.max, info.min  # what float32 cannot hold
    assert stream.count_nonfinite(bytes_of(fine), name) == 0
    for place in (0, 5, 41):
        for value in (math.nan, math.inf, -math.inf):
            bad = fine.clone()
            bad[place] = value
            assert stream.count_nonfinite(bytes_of(bad), name) == 1


@pytest.mark.parametrize("name", ["F16", "BF16"])
def test_every_16_bit_pattern_is_judged_as_torch_does(name: str) -> None:
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(DTYPES[name])
    found = stream.count_nonfinite(bytes_of(every), name)
    assert found == int((~every.isfinite()).sum()) > 0


def test_examine_sees_the_last_number_past_a_chunk(tmp_path: Path) -> None:
    numbers = torch.randn(stream.CHUNK // 4 + 7)
    for last, bad in ((1.0, 0), (math.nan, 1)):
        numbers[-1] = last
        (tmp_path / "w").write_bytes(save({"odd": torch.ones(3, dtype=torch.uint8), "x": numbers}))
        span = read_header(tmp_path / "w").tensors["x"]
        digest = hashlib.sha256(bytes_of(numbers)).hexdigest()
        assert stream.examine(span) == (digest, bad)
        assert stream.hash_from_disk(span) == digest


def test_a_module_of_25_mb_is_examined_within_a_second(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(os.urandom(1 << 20) * 25)
    span = TensorSpan(tmp_path / "w", "F32", (25 << 18,), 0, 25 << 20)
    begun = time.process_time()
    stream.examine(span)
    assert time.process_time() - begun < 1.0


@pytest.mark.parametrize("kernel", [True, False])
@pytest.mark.parametrize("begin", [0, 5])
def test_copied_span_is_the_same_bytes(
    kernel: bool, begin: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "across devices")

    if not kernel:
        monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    data = os.urandom(2 * stream.CHUNK + 11)
    (tmp_path / "from").write_bytes(data)
    moved: list[int] = []
    with (tmp_path / "to").open("xb", buffering=0) as out:
        stream.copy_span(tmp_path / "from", begin, len(data) - 3, out, moved.append)
    assert (tmp_path / "to").read_bytes() == data[begin:-3]
    assert sum(moved) == len(data) - 3 - begin


def test_hash_of_a_copy_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = os.urandom(stream.CHUNK + 11)
    (tmp_path / "from").write_bytes(data)
    span = TensorSpan(tmp_path / "from", "U8", (len(data) - 4,), 1, len(data) - 3)
    out = io.BytesIO()
    assert stream.copy_hashed(span, out, lambda _: None) == hashlib.sha256(data[1:-3]).hexdigest()
    assert out.getvalue() == data[1:-3]


@pytest.mark.parametrize("begin", [0, 1])
def test_copy_past_the_end_of_a_file_is_refused(begin: int, tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"123")
    with (
        (tmp_path / "to").open("xb", buffering=0) as out,
        pytest.raises(CorruptError, match="the end of the file"),
    ):
        stream.copy_span(tmp_path / "from", begin, 9, out, lambda _: None)
