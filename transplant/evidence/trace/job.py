"""A trace, from names to a report."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from transplant.errors import CorpusError, InputError
from transplant.evidence.trace.report import ablation_rows, head_of_report, patching_rows
from transplant.evidence.trace.spec import TraceJob
from transplant.tracing.config import TraceConfig
from transplant.workflows.corpus import read_as_needed
from transplant.workflows.out_folder import check_out, with_files
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.modules.hosted import HostedModel
    from transplant.text.splits import Splits
    from transplant.text.windows import Window
    from transplant.tracing.targets import Target

DEFAULT_DATA = "prose"
SHORTEST = 16  # tokens of a document that is traced
ON_TEXT = ("intervention", "documents", "window", "noise")
"""Fields of `TraceConfig` that the values of pairs leave nothing to."""


def run_trace(work: Work, job: TraceJob) -> dict[str, Any]:
    """Traces a hosted model on held-out text, or between the texts of pairs.

    Args:
        work: library, device, seed and reporter.
        job: what is traced.

    Returns:
        The report: targets by their effect, with intervals over documents or pairs; the files in
        `out`, where it is asked for.

    Raises:
        InputError: targets that are not there, or options that do not go together.
        CorpusError: too little text, or a file that is none of pairs.
    """
    from transplant.pictures.trace import write_trace
    from transplant.tracing.places import Places
    from transplant.tracing.targets import parse_targets

    check_out(job.out)
    if job.pairs is not None:
        _check_pairs_alone(job)
    began = time.monotonic()
    hosted = work.load(job.model)
    places = Places(hosted.backbone)
    targets = parse_targets(job.targets, places)
    head = head_of_report(job, hosted, places)
    if job.pairs is not None:
        body = _patched(work, job, hosted, targets)
    else:
        body = _traced(work, job, hosted, targets)
    seconds = round(time.monotonic() - began, 2)
    made = work.made(config=dataclasses.asdict(job.config))
    return with_files({**head, **body, "seconds": seconds, "made": made}, job.out, write_trace)


def _check_pairs_alone(job: TraceJob) -> None:
    """Refuses beside `pairs` what says how held-out text is traced.

    Raises:
        InputError: naming what has no use there.
    """
    plain = TraceConfig()
    given = [name for name in ("data", "prefilter") if getattr(job, name) is not None]
    given += [name for name in ON_TEXT if getattr(job.config, name) != getattr(plain, name)]
    if given:
        raise InputError(
            f"`pairs` and `{given[0]}` exclude each other", expected="one of them",
            hint=f"leave `{given[0]}` out",
        )  # fmt: skip


def _traced(
    work: Work, job: TraceJob, hosted: HostedModel, targets: tuple[Target, ...]
) -> dict[str, Any]:
    from transplant.tracing.effects import trace
    from transplant.tracing.prefilter import prefilter

    config = job.config
    source = job.data or work.domain_source(job.model) or DEFAULT_DATA
    splits = read_as_needed(work, source, evaluation=config.documents * config.window)
    windows = first_windows(hosted, splits, config)
    facts = {
        "data": source,
        "split": splits.fingerprint,
        "documents": len(windows),
        "tokens": sum(len(window) for window in windows),
    }
    with hosted.backbone.frozen(), work.reporter.progress(f"tracing {job.model}") as progress:
        if job.prefilter is not None:
            found = prefilter(hosted, windows, targets, config, job.prefilter, progress=progress)
            return {**facts, **ablation_rows(found.exact, config, found)}
        effects = trace(hosted, windows, targets, config, progress=progress)
    return {**facts, **ablation_rows(effects, config)}


def _patched(
    work: Work, job: TraceJob, hosted: HostedModel, targets: tuple[Target, ...]
) -> dict[str, Any]:
    from transplant.evidence.trace.pairs import read_token_pairs
    from transplant.tracing.patching import patch

    assert job.pairs is not None
    read = read_token_pairs(job.pairs, hosted.backbone)
    with hosted.backbone.frozen(), work.reporter.progress(f"patching {job.model}") as progress:
        found = patch(hosted, read.pairs, targets, job.config, progress=progress)
    if not found.pairs:
        raise CorpusError(
            f"every pair of {job.pairs} has one likeliest token after both texts",
            expected="texts that ask for other answers", hint="give `answer` and `foil`",
        )  # fmt: skip
    rows = patching_rows(found, job.config, hosted.tokenizer)
    return {"pairs": job.pairs, "pairs_sha256": read.sha256, **rows}


def first_windows(hosted: HostedModel, splits: Splits, config: TraceConfig) -> list[Window]:
    """The beginnings of the first held-out documents that are long enough.

    Raises:
        CorpusError: there are not enough of them for the intervention.
    """
    from transplant.text.windows import Window, tokenize

    length = min(config.window, hosted.backbone.context)
    shortest = min(SHORTEST, length)
    windows: list[Window] = []
    for number, (ids, ends) in enumerate(tokenize(splits.eval, hosted.tokenizer)):
        if len(ids) >= shortest:
            windows.append(Window(ids[:length], ends[:length], number))
        if len(windows) == config.documents:
            break
    least = 2 if config.intervention == "resample" else 1
    if len(windows) < least:
        raise CorpusError(
            "too few held-out documents to trace",
            expected=f"{least} or more of {shortest} tokens", found=len(windows),
        )  # fmt: skip
    return windows
