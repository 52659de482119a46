"""One capture, from corpus to file; and what a file says of itself."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.files.writable import check_writable
from transplant.ranks import ALONE, Ranks, current
from transplant.training.config import NAMED_TAPS
from transplant.workflows.capture_job import CaptureJob, is_layer, names_in
from transplant.workflows.corpus import read_alike, read_documents_of
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.activations.capture import Taps
    from transplant.activations.layout import CaptureHeader, TokenTable
    from transplant.activations.reader import Activations
    from transplant.backbones.view import Backbone
    from transplant.text.documents import Document
    from transplant.text.windows import Window

SAMPLE = 16  # windows that are computed again
# A batch of another make-up is summed in another order; relative to the largest state of a tap.
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-3, "bf16": 1.6e-2}


@dataclass(frozen=True)
class _Prepared:
    """All that is known before the backbone runs."""

    backbone: Backbone
    windows: list[Window]
    tokens: TokenTable
    taps: Taps
    header: CaptureHeader


def run_capture(work: Work, job: CaptureJob, *, resume: bool) -> dict[str, Any]:
    """Captures into a new file, or continues one.

    Of several processes each captures its share of the documents into a file of its own; the first
    joins them. Their reports are of the same, whole file.

    Raises:
        ExistsError: there is one already, and `resume` is off.
        InputError, StorageError: it may not be written there.
        CorruptError: what is there is no capture that could be continued.
    """
    from transplant.activations.capture import capture
    from transplant.activations.joined import join
    from transplant.activations.writer import ActivationWriter

    began = time.monotonic()
    ranks = current()
    part = _parts_of(job.out, ranks)[ranks.number]
    goes_on = work.continues(part, resume)
    _check_places(job.out, part, goes_on=goes_on)
    prepared = _prepare(work, job, ranks)
    start = ActivationWriter.resume if goes_on else ActivationWriter.create
    with start(part, prepared.header, prepared.tokens) as writer:
        had = writer.committed
        with (
            work.resumable(part),
            work.reporter.progress(f"capturing {job.backbone}") as progress,
        ):
            capture(
                prepared.backbone, prepared.windows, prepared.tokens, prepared.taps, writer,
                dtype=job.stored, pool=job.pool, progress=progress,
            )  # fmt: skip
    ranks.wait()
    if ranks.first and ranks.count > 1:
        join(_parts_of(job.out, ranks), job.out)
    ranks.wait()
    seconds = time.monotonic() - began
    report = inspect_file(job.out)
    return {**report, "captured": prepared.tokens.rows - had, "seconds": round(seconds, 2)}


def inspect_file(path: Path) -> dict[str, Any]:
    """What a file holds, complete or not."""
    from transplant.activations.reader import Activations

    with Activations.open(path, partial=True) as acts:
        header = dataclasses.asdict(acts.header)
        return {
            "file": str(path),
            "complete": acts.complete,
            "rows": acts.rows,
            "committed": acts.committed,
            "documents": acts.documents,
            "windows": acts.windows,
            "checksums": acts.checked,
            **{key: list(v) if isinstance(v, tuple) else v for key, v in header.items()},
            "bytes": path.stat().st_size,
        }


def corpus_of(path: Path) -> str:
    """The text that a file was captured from."""
    return str(inspect_file(path)["corpus"])


def verify_file(work: Work, path: Path) -> dict[str, Any]:
    """Computes a sample of windows again and compares them with the file."""
    import random

    import torch

    from transplant.activations.capture import read_taps

    with work.activations(path) as acts:
        work = dataclasses.replace(work, dtype=acts.header.made.get("dtype", "float32"))
        read_alike(work, acts.header.made, acts.header.corpus)
        prepared = _prepare(work, _job_of(acts, path), ALONE)
        acts.check_made_by(prepared.backbone, prepared.backbone.name)
        if prepared.header.corpus_fingerprint != acts.header.corpus_fingerprint:
            raise InputError(
                f"{acts.header.corpus} is no longer the text of {path}",
                expected=acts.header.corpus_fingerprint[:12],
                found=prepared.header.corpus_fingerprint[:12],
                hint="`capture()` it again",
            )
        count = min(SAMPLE, len(prepared.windows))
        chosen = sorted(random.Random(work.seed).sample(range(len(prepared.windows)), count))
        differences = []
        for number in chosen:
            again = read_taps(
                prepared.backbone, [prepared.windows[number]], prepared.taps, acts.header.pool
            )
            rows = acts.rows_of_window(number)
            for name, states in again.items():
                held = acts.tap(name, rows.start, rows.stop).float()
                scale = held.abs().max().clamp_min(1e-6)
                differences.append((held - states.float().cpu()).abs().max() / scale)
    computed = {"float16": "fp16", "bfloat16": "bf16"}.get(work.dtype, "fp32")
    tolerance = max(TOLERANCE[kind] for kind in (acts.header.dtype, computed))
    worst = float(torch.stack(differences).max())  # NaN where any of them is
    return {
        "file": str(path),
        "windows": count,
        "largest_difference": worst if math.isfinite(worst) else None,
        "tolerance": tolerance,
        "identical": worst <= tolerance,
    }


def _prepare(work: Work, job: CaptureJob, ranks: Ranks) -> _Prepared:
    from transplant.activations.capture import token_table
    from transplant.activations.layout import CaptureHeader
    from transplant.backbones.arithmetic import computed_in
    from transplant.backbones.parts import block_width
    from transplant.text.limits import stream_chars
    from transplant.text.splits import fingerprint
    from transplant.text.windows import cut_windows

    backbone = work.backbone(job.backbone)
    taps = _taps(backbone, job.taps)
    reach = stream_chars(train=job.max_tokens or 0)
    documents = read_documents_of(work, job.data, stream_chars=reach)
    length = min(job.window, backbone.context)
    windows = cut_windows(documents, backbone.tokenizer, length, max_tokens=job.max_tokens)
    windows, used = _share(windows, documents[: windows[-1].document + 1], ranks)
    header = CaptureHeader(
        backbone=backbone.name,
        family=backbone.family,
        backbone_sha256=backbone.weights_sha256,
        tokenizer_sha256=backbone.tokenizer_sha256,
        config_sha256=backbone.config_sha256,
        corpus=job.data,
        corpus_fingerprint=fingerprint(used),
        window=length,
        pool=job.pool,
        dtype=job.stored,
        taps=taps.names,
        widths=tuple(
            backbone.d_model if name.isdecimal() else block_width(backbone) for name in taps.names
        ),
        made={
            "taps": job.taps,
            "max_tokens": job.max_tokens,
            **computed_in(backbone),
            **({"reading": dict(work.reading)} if work.reading else {}),
        },
    )
    return _Prepared(
        backbone, windows, token_table(backbone, used, windows, job.pool), taps, header
    )


def _check_places(out: Path, part: Path, *, goes_on: bool) -> None:
    """Refuses, before anything is loaded, a file that could not be begun or gone on with.

    Args:
        out: the whole file.
        part: that of this process: `out` itself where there is one.
        goes_on: whether `part` is continued.
    """
    from transplant.activations.reader import Activations
    from transplant.activations.staging import check_free

    check_writable(out)
    for new in {out, part} - ({part} if goes_on else set()):
        check_free(new)
    if goes_on:
        Activations.open(part, partial=True).close()


def _parts_of(out: Path, ranks: Ranks) -> list[Path]:
    """The pieces of `out`, one of each process, in order; `out` itself where there is one."""
    if ranks.count == 1:
        return [out]
    return [
        out.with_name(f"{out.stem}.rank{number}of{ranks.count}{out.suffix}")
        for number in range(ranks.count)
    ]


def _share(
    windows: list[Window], documents: list[Document], ranks: Ranks
) -> tuple[list[Window], list[Document]]:
    """The documents of one process, and their windows, which number them from 0."""
    sizes = [0] * len(documents)
    for window in windows:
        sizes[window.document] += len(window)
    if len(documents) < ranks.count:
        raise InputError(
            "more processes than documents", expected=f"at most {len(documents)}", found=ranks.count
        )
    mine = ranks.share(sizes)
    kept = [
        dataclasses.replace(window, document=window.document - mine.start)
        for window in windows
        if window.document in mine
    ]
    return kept, documents[mine.start : mine.stop]


def _taps(backbone: Backbone, text: str) -> Taps:
    """The taps of `taps`: layers sorted, then parts as they were named."""
    from transplant.activations.capture import Taps
    from transplant.backbones.parts import find_part

    if text in NAMED_TAPS:
        layers, parts = NAMED_TAPS[text] or backbone.all_taps, []
    else:
        names = names_in(text)
        layers = tuple(int(name) for name in names if is_layer(name))
        parts = [name for name in names if not is_layer(name)]
    for part in parts:
        find_part(backbone, part)
    chosen = backbone.check_taps(layers) if layers else ()
    return Taps((*map(str, chosen), *parts))


def _job_of(acts: Activations, path: Path) -> CaptureJob:
    """The capture that made a file.

    Raises:
        InputError: it was not made by one.
    """
    header = acts.header
    taps, max_tokens = header.made.get("taps"), header.made.get("max_tokens")
    if not isinstance(taps, str) or not isinstance(max_tokens, int | None):
        raise InputError(
            f"{path} does not say which capture made it", expected="taps and max_tokens",
            found=sorted(header.made), hint="a file that `capture()` made",
        )  # fmt: skip
    return CaptureJob(
        backbone=header.backbone, data=header.corpus, out=path, taps=taps,
        stored=header.dtype, window=header.window, max_tokens=max_tokens,
        pool=header.pool,
    )  # fmt: skip
