"""Pasting a domain module from one LayerCake core into another: bytes are copied, never computed.

plan = plan_paste(Path("donor"), Path("target"), ["python"])
report = paste(plan, Path("target-with-python"))
report.identical  # by the hashes of what was read back
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from transplant.errors import CorruptError
from transplant.files.header import header_bytes
from transplant.files.room import check_room
from transplant.files.safetensors import TensorRecord
from transplant.files.whole_folder import flush
from transplant.paste.core import CONFIG, INDEX, module_prefix
from transplant.paste.layout import OutFile, Placed, config_of, index_of, lay_out
from transplant.paste.plan import PastePlan, plan_paste
from transplant.paste.promised import check_bytes
from transplant.paste.report import PastedModule, PasteReport, read_back, read_tensors
from transplant.paste.staging import check_out, staged
from transplant.paste.stream import Moved, copy_hashed, copy_span, write_all
from transplant.progress import Progress

__all__ = ["PastePlan", "PasteReport", "paste", "plan_paste", "read_back"]

_PLAIN = {".json", ".txt", ".model", ".jinja", ".md"}  # nothing that holds pickles
_PLAIN_NAMES = {"LICENSE", "NOTICE"}
# A registry's manifest promises the hashes of the target as it was.
_NOT_COPIED = {CONFIG, INDEX, "manifest.json"}


def paste(
    plan: PastePlan, out: Path, *, replace_out: bool = False, progress: Progress | None = None
) -> PasteReport:
    """Write the target with the planned modules in it as a new folder, whole or not at all.

    Args:
        plan: what `plan_paste` returned.
        out: the folder to write; it may be the target itself, with `replace_out`.
        replace_out: whether a checkpoint at `out` may go.
        progress: called after each chunk, in bytes.

    Raises:
        ExistsError, InputError: `out` cannot be written there.
        CorruptError: what was read back is not what was planned, or the target's bytes are not
            those that its manifest promises; nothing is left at `out`.
        StorageError: the disk refused, or the source or the target changed since the plan.
    """
    out = Path(os.path.abspath(out))
    check_out(out, (plan.source.path, plan.target.path), replace=replace_out)
    files = lay_out(plan)
    needed = _bytes_of(plan, files)
    check_room(out, needed, "`paste(out='DIR')` on another disk")
    with staged(out, needed) as folder:
        report = _fill(plan, folder, files, progress)
    return replace(report, out=out)


def bytes_needed(plan: PastePlan) -> int:
    """The bytes of the whole result in one file: the target's, the modules' and the tokenizer's."""
    return _bytes_of(plan, lay_out(plan, one_file=True))


def paste_into(
    plan: PastePlan, folder: Path, *, progress: Progress | None = None
) -> tuple[PasteReport, dict[str, TensorRecord]]:
    """Write the same into an empty folder that the caller has staged, all tensors in one file.

    Every byte is written once, and read once from the target and once from the result; those of the
    modules were read once more for the plan.

    Returns:
        The report, and every tensor as it was read back.

    Raises:
        CorruptError, StorageError: as `paste`.
        OSError: the disk refused.
    """
    read: dict[str, TensorRecord] = {}
    report = _fill(plan, folder, lay_out(plan, one_file=True), progress, read)
    return report, read


def _fill(
    plan: PastePlan, folder: Path, files: tuple[OutFile, ...], progress: Progress | None,
    read: dict[str, TensorRecord] | None = None,
) -> PasteReport:  # fmt: skip
    """Write the whole result; where `read` is given, all of it is read back, and noted there."""
    begun = time.perf_counter()
    total = sum(tensor.size for file in files for tensor in file.tensors)
    pasted = (tensor.span.size for module in plan.modules for tensor in module.tensors)
    moved = _counter(total + (sum(pasted) if read is None else total), progress)
    for file in files:
        _write(file, plan, folder / file.name, moved)
    if index := index_of(plan, files):
        _write_json(folder / INDEX, index)
    _write_json(folder / CONFIG, config_of(plan))
    plain, skipped = _plain_files(plan)
    for path in plain:
        with _new_file(folder / path.name) as out:
            copy_span(path, 0, path.stat().st_size, out, lambda _: None)
    for core in (plan.source, plan.target):
        core.check_unchanged()
    flush(folder)  # what is read back comes from the disk
    if read is not None:
        read |= read_tensors(folder, moved)
        _check_kept(files, read, folder)
    modules = read_back(plan, folder, read, moved)
    _check_identical(modules, folder)
    return PasteReport(
        out=folder,
        modules=modules,
        router_tensors=tuple(row for module in plan.modules for row in sorted(module.router)),
        skipped=skipped,
        bytes_copied=total,
        seconds=time.perf_counter() - begun,
    )


def _bytes_of(plan: PastePlan, files: tuple[OutFile, ...]) -> int:
    tensors = sum(tensor.size for file in files for tensor in file.tensors)
    return tensors + sum(path.stat().st_size for path in _plain_files(plan)[0])


def _write(file: OutFile, plan: PastePlan, path: Path, moved: Moved) -> None:
    with _new_file(path) as out:
        if file.unchanged:
            origin = plan.target.path / file.name
            copy_span(origin, 0, origin.stat().st_size, out, moved)
            return
        tensors = ((tensor.name, tensor.dtype, tensor.shape) for tensor in file.tensors)
        write_all(out, header_bytes(tensors, file.metadata))
        for run in _runs(file.tensors):
            first, last = run[0], run[-1]
            if first.origin is None or last.origin is None:
                write_all(out, bytes(first.size))
                moved(first.size)
            elif first.sha256 is None:
                copy_span(first.origin.file, first.origin.begin, last.origin.end, out, moved)
            else:
                _copy_checked(first, out, moved, plan)


def _runs(tensors: tuple[Placed, ...]) -> Iterator[list[Placed]]:
    """Neighbours in the target that stay neighbours, to be copied at once; others alone."""
    run: list[Placed] = []
    for tensor in tensors:
        if run and not _follows(run[-1], tensor):
            yield run
            run = []
        run.append(tensor)
    if run:
        yield run


def _follows(before: Placed, tensor: Placed) -> bool:
    if before.origin is None or tensor.origin is None or before.sha256 or tensor.sha256:
        return False
    same_file = before.origin.file == tensor.origin.file
    return same_file and before.origin.end == tensor.origin.begin


def _copy_checked(tensor: Placed, out: BinaryIO, moved: Moved, plan: PastePlan) -> None:
    assert tensor.origin is not None
    pasted = tensor.name.startswith(tuple(module_prefix(module.name) for module in plan.modules))
    promised = None if pasted else plan.promised
    found = copy_hashed(tensor.origin, out, moved)
    check_bytes(tensor.name, tensor.origin.file, found, promised)
    if found != tensor.sha256:
        raise CorruptError(
            f"{tensor.origin.file}: {tensor.name} changed since the plan was made",
            expected=f"sha256 {tensor.sha256}",
            found=found,
            hint="run the command again",
        )


def _plain_files(plan: PastePlan) -> tuple[list[Path], tuple[str, ...]]:
    """The tokenizer and the other plain files to copy, and the names of what stays behind."""
    plain: list[Path] = []
    skipped: list[str] = []
    for path in sorted(plan.target.path.iterdir()):
        if path.name in plan.target.files or path.name in (CONFIG, INDEX):
            continue
        known = path.suffix in _PLAIN or path.name in _PLAIN_NAMES
        if path.is_file() and known and path.name not in _NOT_COPIED:
            plain.append(path)
        else:
            skipped.append(path.name)
    return plain, tuple(skipped)


def _check_kept(files: tuple[OutFile, ...], read: dict[str, TensorRecord], folder: Path) -> None:
    """Hold every tensor whose hash was known before it was copied against what was read back."""
    for tensor in (tensor for file in files for tensor in file.tensors):
        if tensor.sha256 not in (None, read[tensor.name].sha256):
            raise _differs(folder, tensor.name, tensor.sha256, read[tensor.name].sha256)


def _check_identical(modules: tuple[PastedModule, ...], out: Path) -> None:
    for module in modules:
        for tensor in module.tensors:
            if tensor.sha256_source != tensor.sha256_target:
                what = f"{tensor.name} of module {module.name}"
                raise _differs(out, what, tensor.sha256_source, tensor.sha256_target)


def _differs(out: Path, what: str, planned: str | None, found: str) -> CorruptError:
    return CorruptError(
        f"{out}: {what}, read back",
        expected=f"sha256 {planned}",
        found=found,
        hint="check the disk, and run the command again",
    )


def _write_json(path: Path, value: dict[str, Any]) -> None:
    with _new_file(path) as out:
        write_all(out, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def _new_file(path: Path) -> BinaryIO:
    return path.open("xb", buffering=0)  # pyright: ignore[reportReturnType]


def _counter(total: int, progress: Progress | None) -> Moved:
    done = 0

    def moved(count: int) -> None:
        nonlocal done
        done = min(done + count, total)  # headers of files copied whole count for nothing
        if progress is not None:
            progress(done, total, "bytes")

    return moved
