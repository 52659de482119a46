from __future__ import annotations

import errno
import hashlib
import io
import math
import os
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from transplant.errors import CorruptError
from transplant.files.header import TensorSpan, read_header
from transplant.paste import stream

DTYPES = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


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
