"""The file on the disk: the same bytes each time, whatever stops the writer."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from transplant.activations import hdf5
from transplant.activations.layout import STORED, CaptureHeader, TokenTable
from transplant.activations.writer import ActivationWriter
from transplant.errors import (
    CorruptError,
    ExistsError,
    InputError,
    NotFoundError,
    ShapeError,
    StorageError,
)

ROOT = Path(__file__).parents[2]


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_header(**changes) -> CaptureHeader:
    fields = {
        "backbone": "ref-gpt2",
        "family": "gpt2",
        "backbone_sha256": "a" * 64,
        "tokenizer_sha256": "b" * 64,
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
    """Bits that differ at every place; NaN among them."""
    index = header.taps.index(tap)
    width, stored = header.widths[index], STORED[header.dtype]
    places = np.arange(start * width, stop * width, dtype=np.uint64) + np.uint64(index << 40)
    mixed = (places + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)
    bits = mixed.astype(np.uint32 if stored.itemsize == 4 else np.uint16)
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


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(hdf5, "CHUNK_BYTES", 1000)


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    header, tokens = make_header(), make_tokens()
    first = write_file(tmp_path / "a.h5", header, tokens)
    time.sleep(1.1)  # HDF5 stamps whole seconds
    second = write_file(tmp_path / "b.h5", header, tokens)
    assert sha256(first) == sha256(second)
    other = write_file(tmp_path / "c.h5", make_header(made={"seed": 4}), tokens)
    assert sha256(first) != sha256(other)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("step", [7, 25, 273])
def test_h5py_reads_what_was_written(tmp_path, dtype, step):
    header, tokens = make_header(dtype=dtype), make_tokens()
    path = write_file(tmp_path / "a.h5", header, tokens, step=step)
    assert same_rows(path, header, tokens.rows)
    with h5py.File(path) as file:
        tap = file["taps/block.2.mlp"]
        assert tap.shape == (tokens.rows, 5)  # no padding
        assert (tap.maxshape, tap.id.get_num_chunks() > 1) == ((None, 5), True)
        assert (tap.compression, tap.attrs["dtype"]) == (None, dtype.encode())
        assert file["committed"].id.get_offset() % 8 == 0
        np.testing.assert_array_equal(file["windows/first_row"], tokens.first_row)
        assert json.loads(file.attrs["taps"]) == list(header.taps)


@pytest.mark.usefixtures("small_chunks")
def test_the_order_of_writes_leaves_no_trace(tmp_path):
    header, tokens = make_header(), make_tokens()
    straight = write_file(tmp_path / "a.h5", header, tokens)
    with ActivationWriter.create(tmp_path / "b.h5", header, tokens) as writer:
        for start in random.Random(0).sample(range(0, tokens.rows, 30), -(-tokens.rows // 30)):
            write_rows(writer, header, start, min(start + 30, tokens.rows))
        writer.commit(tokens.rows)
    assert sha256(tmp_path / "b.h5") == sha256(straight)


def test_a_new_file_holds_zeros_to_the_end_of_its_last_chunk(tmp_path, monkeypatch):
    """Also where a killed one left bytes under the hidden name, and little room."""
    (tmp_path / ".a.h5.tmp").write_bytes(b"\xff" * 2**23)
    usage = shutil.disk_usage(tmp_path)

    def free(_: object) -> object:
        taken = sum(path.stat().st_size for path in tmp_path.iterdir())
        return usage._replace(free=10**7 - taken)

    monkeypatch.setattr(shutil, "disk_usage", free)
    header, tokens = make_header(), make_tokens()
    ActivationWriter.create(tmp_path / "a.h5", header, tokens).close()
    raw = (tmp_path / "a.h5").read_bytes()
    with h5py.File(tmp_path / "a.h5") as file:
        for tap in file["taps"].values():
            for number in range(tap.id.get_num_chunks()):
                chunk = tap.id.get_chunk_info(number)
                assert not any(raw[chunk.byte_offset : chunk.byte_offset + chunk.size])
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_no_rows_are_a_file_too(tmp_path):
    header, tokens = make_header(), make_tokens(((), ()))
    path = write_file(tmp_path / "a.h5", header, tokens)
    assert same_rows(path, header, 0)


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


CRASH = """
import os, random, signal, sys
from itertools import count
sys.path.insert(0, {root!r})
from tests.activations.test_writer import CRASHING, ActivationWriter, Path, hdf5, write_rows
hdf5.CHUNK_BYTES = 2**16
path, log = Path({path!r}), {log!r}
header, tokens = CRASHING

def die_at(call):
    put = os.pwrite
    def pwrite(handle, data, offset):
        nonlocal call
        call -= 1
        if call:
            return put(handle, data, offset)
        put(handle, data[: random.randrange(len(data) + 1)], offset)
        os.kill(os.getpid(), signal.SIGKILL)
    os.pwrite = pwrite

def alarm(delay):  # ends the process at any instruction, as a kill from outside does
    signal.setitimer(signal.ITIMER_REAL, delay)

def work(commits, delay):
    start = ActivationWriter.resume if path.exists() else ActivationWriter.create
    with start(path, header, tokens) as writer, open(log, "a", buffering=1) as report:
        done = count()
        if next(done) == commits:
            alarm(delay)
        for row in range(writer.committed, tokens.rows, 100):
            stop = min(row + 100, tokens.rows)
            write_rows(writer, header, row, stop)
            if stop % 500 == 0 or stop == tokens.rows:
                writer.commit(stop)
                report.write(f"{{stop}}\\n")
                if next(done) == commits:
                    alarm(delay)

for line in sys.stdin:  # the call of pwrite to die in (or 0), the commits before an alarm (or -1)
    call, commits, delay = line.split()
    child = os.fork()
    if child == 0:
        random.seed(line)
        if int(call):
            die_at(int(call))
        try:
            work(int(commits), float(delay))
            os._exit(0)
        finally:
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
CRASHING = make_header(widths=(64, 64, 33)), make_tokens(((500,) * 4,) * 4)


class Crashes:
    """A process that forks a writer for each line it gets, and what must hold after each."""

    def __init__(self, folder: Path) -> None:
        self.path, self.log = folder / "a.h5", folder / "log"
        self.log.touch()
        script = CRASH.format(root=str(ROOT), path=str(self.path), log=str(self.log))
        command = [sys.executable, "-c", script]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, call: int = 0, commits: int = -1, delay: float = 0.0) -> bool:
        """Whether the writer was killed: in a call of `pwrite`, or `delay` after some commits."""
        assert self.process.stdin
        assert self.process.stdout
        print(call, commits, delay, file=self.process.stdin, flush=True)
        code = int(self.process.stdout.readline())
        assert code in (0, -signal.SIGKILL, -signal.SIGALRM)
        return code != 0

    def reported(self) -> list[int]:
        return [int(line) for line in self.log.read_text().split()]

    def check(self) -> int:
        """The committed rows: exactly those that were reported, or one step more."""
        from transplant.activations.reader import Activations

        if not self.path.exists():  # killed before the file had its name
            return 0
        header, tokens = CRASHING
        reported = [0, *self.reported()][-1]
        with Activations.open(self.path, partial=True) as acts:
            assert acts.header == header
            assert acts.committed in (reported, min(reported + 500, tokens.rows))
            assert same_rows(self.path, header, acts.committed)
            return acts.committed

    def restart(self) -> int:
        self.path.unlink()
        self.log.write_text("")
        return 0

    def __enter__(self) -> Crashes:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=30)


@pytest.mark.parametrize("way", ["inside", "outside"])
def test_a_killed_writer_is_resumed_to_the_same_bytes(tmp_path, monkeypatch, way):
    monkeypatch.setattr(hdf5, "CHUNK_BYTES", 2**16)
    header, tokens = CRASHING
    whole = sha256(write_file(tmp_path / "whole.h5", header, tokens, step=1000))
    draw = random.Random(way)
    kills, committed, between = 0, 0, set()
    with Crashes(tmp_path) as crashes:
        while kills < 20:
            if way == "inside":
                kills += crashes.run(draw.randrange(1, 120))
            else:
                left = (tokens.rows - committed) // 500
                kills += crashes.run(0, draw.randrange(min(left, 4)), draw.uniform(1e-6, 0.003))
            committed = crashes.check()
            between.add(committed)
            if committed == tokens.rows:
                assert sha256(crashes.path) == whole
                committed = crashes.restart()
        crashes.run(0)
        assert crashes.check() == tokens.rows
    assert sha256(crashes.path) == whole
    assert len(between - {0, tokens.rows}) >= 3, "the kills came too early or too late"


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("place", ["before", "reserving"])
def test_a_disk_without_room_is_told_before_anything_is_left(tmp_path, monkeypatch, place):
    if place == "before":
        usage = shutil.disk_usage(tmp_path)._replace(free=10**6)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    else:
        monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="full: expected 3.* bytes free, found .* bytes"):
        ActivationWriter.create(tmp_path / "new" / "a.h5", make_header(), make_tokens())
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    write_file(tmp_path / "new" / "a.h5", make_header(), make_tokens())


def test_a_disk_that_cannot_reserve_room_is_taken(tmp_path, monkeypatch):
    def unsupported(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    whole = sha256(write_file(tmp_path / "a.h5", make_header(), make_tokens()))
    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    monkeypatch.setattr("fcntl.flock", unsupported)
    assert sha256(write_file(tmp_path / "b.h5", make_header(), make_tokens())) == whole


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_disk_that_fills_up_costs_no_committed_row(tmp_path, monkeypatch, call):
    header, tokens, path = make_header(), make_tokens(), tmp_path / "a.h5"
    with ActivationWriter.create(path, header, tokens) as writer:
        write_rows(writer, header, 0, 120)
        writer.commit(120)
        if call == "pwrite":
            monkeypatch.setattr(os, "pwrite", full)
        else:
            monkeypatch.setattr("transplant.activations.writer._sync_data", full)

        def go_on() -> None:
            write_rows(writer, header, 120, 200)
            writer.commit(200)

        with pytest.raises(StorageError, match="the disk of .*a.h5 is full"):
            go_on()
        assert writer.committed == 120
    assert same_rows(path, header, 120)


def test_the_system_may_write_less_than_it_was_given(tmp_path, monkeypatch):
    header, tokens = make_header(), make_tokens()
    whole = sha256(write_file(tmp_path / "a.h5", header, tokens))
    put = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, at: put(handle, data[:100], at))
    assert sha256(write_file(tmp_path / "b.h5", header, tokens)) == whole


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
    with pytest.raises(InputError, match=f"begun with other {field}: expected .* --resume") as info:
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


def test_what_is_there_is_not_written_over(tmp_path):
    path = write_file(tmp_path / "a.h5", make_header(), make_tokens())
    with pytest.raises(ExistsError, match="--resume"):
        ActivationWriter.create(path, make_header(), make_tokens())
    assert same_rows(path, make_header(), make_tokens().rows)


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


def test_rows_that_do_not_fit_are_refused(tmp_path):
    header, tokens = make_header(), make_tokens()
    with ActivationWriter.create(tmp_path / "a.h5", header, tokens) as writer:
        write_rows(writer, header, 0, 100)
        writer.commit(100)
        writer.write("0", 100, np.zeros((0, 8), np.float32))
        for wrong in (
            np.zeros((3, 7), np.float32),
            np.zeros((3, 8), np.float64),
            np.zeros((8, 3), np.float32).T,
            np.zeros(8, np.float32),
        ):
            with pytest.raises(ShapeError, match=r"float32 \[n, 8\], C-contiguous"):
                writer.write("0", 100, wrong)
        with pytest.raises(ShapeError, match="rows up to 273, found 272 to 274"):
            writer.write("0", 272, np.zeros((2, 8), np.float32))
        with pytest.raises(InputError, match="row >= 100, found 99"):
            writer.write("0", 99, np.zeros((2, 8), np.float32))
        with pytest.raises(NotFoundError, match="'1': expected 0, 3, block.2.mlp"):
            writer.write("1", 100, np.zeros((2, 8), np.float32))
        for rows in (99, 274):
            with pytest.raises(InputError, match="expected 100 to 273"):
                writer.commit(rows)


def test_headers_and_tables_that_cannot_be_are_refused():
    for changes in (
        {"dtype": "fp64"},
        {"pool": "max"},
        {"taps": ("0", "0", "1")},
        {"taps": ("0", "1", "a/b")},
        {"taps": (), "widths": ()},
        {"made": {"set": {1}}},
        {"made": {"ppl": float("nan")}},
    ):
        with pytest.raises(InputError):
            make_header(**changes)
    with pytest.raises(ShapeError):
        make_header(widths=(8, 8))
    tokens = make_tokens()
    for changes in (
        {"labels": tokens.labels[1:]},
        {"ids": tokens.ids.astype(np.int64)},
        {"first_row": tokens.first_row[1:]},
    ):
        with pytest.raises(ShapeError):
            dataclasses.replace(tokens, **changes)
    for changes in (
        {"first_row": tokens.first_row + 1},
        {"first_row": tokens.first_row[[0, 2, 1, 3, 4, 5, 6, 7, 8]]},
        {"document": tokens.document[::-1].copy()},
        {"digests": tokens.digests[:3]},
        {"digests": ("short", *tokens.digests[1:])},
    ):
        with pytest.raises(InputError):
            dataclasses.replace(tokens, **changes)
