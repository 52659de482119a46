"""Small files of activations whose every bit is known."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np

from transplant.activations.layout import STORED, CaptureHeader, TokenTable
from transplant.activations.writer import ActivationWriter


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_header(**changes) -> CaptureHeader:
    fields = {
        "backbone": "ref-gpt2",
        "family": "gpt2",
        "backbone_sha256": "a" * 64,
        "tokenizer_sha256": "b" * 64,
        "config_sha256": "c" * 64,
        "corpus": "prose",
        "corpus_fingerprint": "c" * 64,
        "window": 64,
        "pool": "none",
        "dtype": "fp32",
        "taps": ("0", "3", "block.2.mlp"),
        "widths": (8, 8, 5),
        "made": {"taps": "all", "seed": 3},
    }
    return CaptureHeader(**(fields | changes))


def make_tokens(windows=((7, 50, 3), (), (64,), (64, 64, 20, 1)), name="text") -> TokenTable:
    """One tuple of window lengths for each document."""
    lengths = [n for of_one in windows for n in of_one]
    rows = sum(lengths)
    ends = [np.arange(sum(of_one)) * 3 + 3 for of_one in windows]
    numbers = [number for number, of_one in enumerate(windows) for _ in of_one]
    return TokenTable(
        ids=np.arange(rows, dtype=np.int32) % 311,
        labels=np.arange(1, rows + 1, dtype=np.int32) % 311,
        ends=np.concatenate([[], *ends]).astype(np.int32),
        first_row=np.cumsum([0, *lengths]).astype(np.int64),
        document=np.array(numbers, dtype=np.int32),
        digests=tuple(sha256_of(f"{name}{n}".encode()) for n in range(len(windows))),
    )


def make_states(header: CaptureHeader, tap: str, start: int, stop: int) -> np.ndarray:
    """Finite bits that differ at every place."""
    index = header.taps.index(tap)
    width, stored = header.widths[index], STORED[header.dtype]
    places = np.arange(start * width, stop * width, dtype=np.uint64) + np.uint64(index << 40)
    mixed = (places + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)
    bits = mixed.astype(np.uint32 if stored.itemsize == 4 else np.uint16)
    # the highest bit of the exponent is left out: no NaN, no infinity
    bits &= bits.dtype.type(~(1 << (8 * stored.itemsize - 2)) & (1 << 8 * stored.itemsize) - 1)
    return bits.view(stored).reshape(-1, width)


def write_rows(writer, header, start, stop):
    for tap in header.taps:
        writer.write(tap, start, make_states(header, tap, start, stop))


def write_file(path, header, tokens, *, step=41) -> Path:
    with ActivationWriter.create(path, header, tokens) as writer:
        for start in range(0, tokens.rows, step):
            stop = min(start + step, tokens.rows)
            write_rows(writer, header, start, stop)
            writer.commit(stop)
    return path


def as_version_1(path) -> Path:
    """The same file as it was before there were checksums."""
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = 1
        for name in ("content_sha256", "parts"):
            file.attrs.pop(name, None)
        if "sums" in file:
            del file["sums"]
    return path


def sha256(path: Path) -> str:
    return sha256_of(path.read_bytes())


def same_rows(path, header, committed) -> bool:
    """Read with h5py alone: what another program would see."""
    with h5py.File(path, "r", locking=False) as file:
        assert file["committed"][0] == committed
        return all(
            file[f"taps/{tap}"][:committed].tobytes()
            == make_states(header, tap, 0, committed).tobytes()
            for tap in header.taps
        )
