from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from registry.manifest import TensorRecord
from transplant.errors import CorruptError, InputError, NumericalError
from transplant.files import safetensors as files


def raw(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + text + data)
    return path


def entry(begin: int, end: int, shape: Any = None, dtype: Any = "U8") -> dict[str, Any]:
    return {
        "dtype": dtype,
        "shape": [end - begin] if shape is None else shape,
        "data_offsets": [begin, end],
    }


def test_hashes_are_those_of_the_raw_bytes(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    big = torch.arange(700_000, dtype=torch.float32)  # more than one chunk
    tensors = {"big": big, "half": torch.ones(2, 3, dtype=torch.bfloat16), "none": torch.empty(0)}
    files.save(file, tensors)
    found = files.hash_tensors(file)
    for name, dtype in (("big", "F32"), ("half", "BF16"), ("none", "F32")):
        data = bytes(tensors[name].flatten().view(torch.uint8).tolist())
        expected = hashlib.sha256(data).hexdigest()
        assert found[name] == TensorRecord(
            shape=tuple(tensors[name].shape), dtype=dtype, sha256=expected
        )
    assert len(found) == 3


def test_strided_and_tied_tensors_are_stored_whole(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    base = torch.arange(6.0).reshape(2, 3)
    files.save(file, {"t": base.T, "base": base, "tied": base})
    loaded = files.load(file)
    torch.testing.assert_close(loaded["t"], base.T, rtol=0, atol=0)
    torch.testing.assert_close(loaded["tied"], base, rtol=0, atol=0)


def test_a_header_with_metadata_is_read(tmp_path: Path) -> None:
    header = {"__metadata__": {"format": "pt"}, "a": entry(0, 2)}
    assert set(files.hash_tensors(raw(tmp_path / "f", header, b"ab"))) == {"a"}


@pytest.mark.parametrize(
    ("header", "data", "length"),
    [
        ({"a": entry(0, 2)}, b"abc", None),  # more data than tensors
        ({"a": entry(0, 2)}, b"a", None),  # less
        ({"a": entry(0, 2), "b": entry(3, 4)}, b"abcd", None),  # a hole
        ({"a": entry(0, 2), "b": entry(1, 3)}, b"abc", None),  # an overlap
        ({"a": entry(0, 2, shape=[3])}, b"ab", None),
        ({"a": entry(0, 2, shape=[-2])}, b"ab", None),
        ({"a": entry(0, 2, shape=[-1, -2])}, b"ab", None),
        ({"a": entry(0, 1, shape=[True])}, b"a", None),
        ({"a": entry(0, 2, dtype="PICKLE")}, b"ab", None),
        ({"a": entry(0, 2, dtype=[])}, b"ab", None),
        ({"a": {"dtype": "U8"}}, b"ab", None),
        ({"a": 5}, b"", None),
        ({"a\nb": entry(0, 2)}, b"ab", None),
        (b'{"a": 1, "a": %s}' % json.dumps(entry(0, 2)).encode(), b"ab", None),  # a twice
        (b"[1]", b"", None),
        (b"nothing", b"", None),
        (b"\xff\xfe", b"", None),
        (b"[" * 100_000, b"", None),
        (b"{}", b"", 2**63),
        (b"{}", b"", 200_000_000),
    ],
)
def test_a_file_that_breaks_the_format_is_corrupt(
    tmp_path: Path, header: Any, data: bytes, length: int | None
) -> None:
    file = raw(tmp_path / "w.safetensors", header, data, length)
    with pytest.raises(CorruptError, match=r"w\.safetensors"):
        files.hash_tensors(file)


@pytest.mark.parametrize("content", [None, b"", b"1234567"])
def test_a_missing_or_short_file_is_corrupt(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "w.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CorruptError, match=r"w\.safetensors"):
        files.hash_tensors(file)
    with pytest.raises(CorruptError, match=r"w\.safetensors"):
        files.load(file)


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "dtype", "bytes"])
def test_verify_names_the_file_and_the_tensor(tmp_path: Path, change: str) -> None:
    file, other = tmp_path / "w.safetensors", tmp_path / "other.safetensors"
    stored = {"same": torch.zeros(2), "w1": torch.zeros(4)}
    files.save(file, stored)
    promised = {
        "missing": stored | {"w2": torch.zeros(1)},
        "extra": {"same": stored["same"]},
        "shape": stored | {"w1": torch.zeros(2, 2)},
        "dtype": stored | {"w1": torch.zeros(4, dtype=torch.int32)},
        "bytes": stored | {"w1": torch.ones(4)},
    }[change]
    files.save(other, promised)
    records = files.hash_tensors(other)
    with pytest.raises(CorruptError) as caught:
        files.verify(file, records)
    tensor = "w2" if change == "missing" else "w1"
    for part in (str(file), f"tensor {tensor}:", "`rm("):
        assert part in str(caught.value)
    if change == "bytes":
        assert records["w1"].sha256 in str(caught.value)
        assert files.hash_tensors(file)["w1"].sha256 in str(caught.value)
    files.verify(other, records)  # the control


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_refused(dtype: torch.dtype, value: float) -> None:
    good = {"w1": torch.ones(3, dtype=dtype), "ids": torch.ones(2, dtype=torch.int64)}
    files.check_finite(good)
    good["w1"][1] = value
    with pytest.raises(NumericalError, match="tensor w1"):
        files.check_finite(good)


def test_float8_is_checked_too() -> None:
    bad = torch.tensor([1.0, float("nan")]).to(torch.float8_e4m3fn)
    with pytest.raises(NumericalError, match="w8"):
        files.check_finite({"w8": bad})


def test_a_dtype_that_the_format_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="complex128"):
        files.save(tmp_path / "w", {"a": torch.zeros(1, dtype=torch.complex128)})


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_is_an_oserror(tmp_path: Path) -> None:
    link = tmp_path / "w.safetensors"
    link.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        files.save(link, {"a": torch.zeros(4)})
