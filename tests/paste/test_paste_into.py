"""A paste into the library: staged in its place, written once, read twice, whole or not at all."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from registry import Registry
from tests.paste.pasted import UP, MakeCore, load_core, tree
from transplant.backbones.identity import tensors_sha256
from transplant.errors import CorruptError, StorageError
from transplant.paste import stream
from transplant.paste.paste import bytes_needed, paste, plan_paste
from transplant.workflows.paste import PasteJob, run_paste
from transplant.workflows.work import Work

SETTINGS: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
BODY = 1 << 23  # bytes: far more than whatever else is read
SLACK = 1 << 20


@pytest.fixture
def cores(make_core: MakeCore) -> Callable[..., tuple[Path, Path]]:
    def make(shards: int = 1) -> tuple[Path, Path]:
        big = {"model.core.big": torch.arange(BODY // 4, dtype=torch.float32)}
        source = make_core("source", ["python"], config=SETTINGS)
        target = make_core("target", config=SETTINGS, shards=shards, change=lambda t: t.update(big))
        (target / "LICENSE").write_text("free")
        return source, target

    return make


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(library=Registry(tmp_path / "registry", tmp_path / "none"))


def job(source: Path, target: Path, name: str = "both") -> PasteJob:
    return PasteJob(str(source), str(target), name=name)


def moved() -> tuple[int, int]:
    """Bytes that this process has read and written so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    found = dict(line.split(": ") for line in lines)
    return int(found["rchar"]), int(found["wchar"])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="bytes are counted in /proc")
@pytest.mark.parametrize("again", [False, True])
def test_every_byte_is_written_once_and_read_twice_and_no_other_folder_is_used(
    again: bool, work: Work, cores, make_core: MakeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = cores()
    small = make_core("small", config=SETTINGS)
    run_paste(work, job(source, small, "warm"))  # whatever is imported is
    if again:  # from the registry, whose manifest is held against what is copied
        run_paste(work, job(source, target, "held"))
        source, target = make_core("other", ["chess"], config=SETTINGS), Path("held")
    monkeypatch.setattr(stream, "_kernel_copy", lambda *_: 0)  # the kernel's copies are not counted
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    read, written = moved()
    run_paste(work, job(source, target))
    read, written = (now - before for now, before in zip(moved(), (read, written), strict=True))
    assert 2 * BODY <= read < 2 * BODY + SLACK
    assert BODY <= written < BODY + SLACK
    before = moved()[0]
    (work.library.root / "both" / "model.safetensors").read_bytes()  # the control: this is seen
    assert moved()[0] - before >= BODY


@pytest.mark.parametrize("shards", [1, 3])
def test_core_in_the_library_holds_what_a_pasted_folder_holds(
    shards: int, work: Work, cores, tmp_path: Path
) -> None:
    source, target = cores(shards)
    paste(plan_paste(source, target), tmp_path / "folder")
    report = run_paste(work, job(source, target))
    entry = work.library.find("backbone", "both")
    assert report["out"] == str(entry.path)
    assert report["identical"]
    held, folder = load_core(entry.path), load_core(tmp_path / "folder")
    assert held.keys() == folder.keys() >= {UP}
    assert all(held[name].equal(folder[name]) for name in folder)
    work.library.verify(entry)
    names = {path.name for path in entry.path.iterdir()}
    assert names == {"LICENSE", "config.json", "manifest.json", "model.safetensors",
                     "tokenizer.json"}  # fmt: skip
    rows = ((n, t.dtype, t.shape, t.sha256) for n, t in entry.manifest.tensors.items())
    assert entry.manifest.backbone.weights_sha256 == entry.manifest.sha256 == tensors_sha256(rows)
    assert entry.manifest.made["to"] == str(target)


def test_room_for_the_whole_core_is_asked_for_before_the_work(
    work: Work, cores, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source, target = cores()
    plan = plan_paste(source, target)
    needed = bytes_needed(plan)
    assert BODY < needed < BODY + SLACK
    usage = shutil.disk_usage(tmp_path)

    def free(count: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=count))

    free(needed - 1)
    before = tree(tmp_path)
    monkeypatch.setattr(stream, "write_all", pytest.fail)
    with pytest.raises(StorageError, match="too full"):
        run_paste(work, job(source, target))
    with pytest.raises(StorageError, match="too full"):
        paste(plan, tmp_path / "out")
    assert tree(tmp_path) == before
    monkeypatch.undo()
    free(needed)  # the control
    run_paste(work, job(source, target))


@pytest.mark.parametrize("fault", ["full", "Ctrl-C", "damage"])
def test_paste_that_fails_leaves_nothing_in_the_library(
    fault: str, work: Work, cores, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = cores()
    run_paste(work, job(source, target, "whole"))
    again = PasteJob(str(source), "whole", name="both", replace=True)
    before, plain, count = tree(work.library.root), stream.write_all, [0]

    def write(out: Any, data: Any) -> None:
        count[0] += 1
        if count[0] == 5:
            assert list(work.library.root.glob(".both.tmp/*"))  # control: it is under way
            if fault == "full":
                raise OSError(errno.ENOSPC, "no space")
            if fault == "Ctrl-C":
                raise KeyboardInterrupt
            data = bytes(len(data))  # a disk that writes something else
        plain(out, data)

    monkeypatch.setattr(stream, "write_all", write)
    monkeypatch.setattr(stream, "_kernel_copy", lambda *_: 0)
    raised = {"full": StorageError, "Ctrl-C": KeyboardInterrupt, "damage": CorruptError}[fault]
    with pytest.raises(raised, match={"full": "is full", "damage": "read back"}.get(fault)):
        run_paste(work, again)
    work.library.release()
    assert tree(work.library.root) == before
    monkeypatch.undo()
    run_paste(work, again)
