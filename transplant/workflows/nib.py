"""The NIB of two hosted models, and its power from more chunks than the protocol draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from transplant.errors import CorpusError, InputError
from transplant.evaluation.config import EXTENDED_SEEDS, NIBConfig, PowerConfig
from transplant.progress import Progress
from transplant.workflows.also_eval import OtherSource, read_sources
from transplant.workflows.corpus import read_splits, windows_of
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.evaluation.logit_rows import LogitRows
    from transplant.evaluation.nib import NIBResult
    from transplant.modules.correction import Correction
    from transplant.text.windows import Window

    Logits = Callable[[Window], LogitRows]

SPARE = 4  # chunks of a stream that a seed draws one from, at least


def nib_report(
    work: Work,
    anchor: str,
    candidate: str,
    *,
    data: str | None = None,
    config: NIBConfig | None = None,
    extended: bool = False,
    power: PowerConfig | None = None,
    also_eval: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Runs the Non-Inferiority Benchmark of one hosted model against another.

    Args:
        work: library, device, seed and reporter.
        anchor: the model to live up to.
        candidate: the model to judge, on the same backbone.
        data: held-out text; by default the candidate's domain.
        config: the protocol.
        extended: five seeds, with intervals.
        power: what so many chunks can tell, where it is asked for.
        also_eval: other sources of the domain, by name: the same benchmark on each of them.

    Raises:
        InputError: two backbones, or no domain.
        NotFoundError: one of them is not there.
    """
    from transplant.backbones.identity import difference
    from transplant.evaluation.nib import run_nib
    from transplant.evaluation.scoring import hosted_rows
    from transplant.text.limits import stream_chars

    config = config or NIBConfig()
    work.check_there(anchor=anchor, candidate=candidate)
    one, other = work.load_together(anchor, candidate)
    if difference(one.backbone, other.backbone):
        raise InputError(
            "anchor and candidate are hosted on different backbones",
            expected=one.backbone.name,
            found=other.backbone.name,
        )
    source = data
    if source is None:
        source = work.domain_source(candidate) or work.domain_source(anchor)
    if source is None:
        raise InputError("two raw backbones have no domain", hint="`data`, as python")
    reach = stream_chars(evaluation=SPARE * config.chunks * config.chunk_length)
    splits = read_splits(work, source, stream_chars=reach)
    windows = windows_of(one.backbone, splits.eval, config.chunk_length, 10**9)
    used = (*splits.train, *splits.calibration)
    others = read_sources(work, also_eval or {}, used, SPARE * config.chunks * config.chunk_length)
    of_anchor, of_candidate = partial(hosted_rows, one), partial(hosted_rows, other)
    seeds = EXTENDED_SEEDS if extended else None
    with work.reporter.progress("comparing") as progress:
        result = run_nib(windows, of_anchor, of_candidate, config, seeds=seeds, progress=progress)
    report = {
        "anchor": anchor,
        "candidate": candidate,
        "kind": work.kind_of(candidate),
        **result.as_dict(),
        "data": source,
        "split": splits.fingerprint,
        "made": work.made(),
    }
    if others:
        elsewhere = {
            name: nib_of_source(work, one.backbone, other, of_anchor, of_candidate, config, seeds)
            for name, other in others.items()
        }
        report["sources"] = {"in_source": {"nib": result.as_dict()}, "out_of_source": elsewhere}
    if power is not None:
        report["power"] = power_report(windows, of_anchor, of_candidate, result, power)
    return report


def nib_of_source(
    work: Work,
    backbone: Backbone,
    other: OtherSource,
    anchor: Logits,
    candidate: Logits,
    config: NIBConfig,
    seeds: Sequence[int] | None,
) -> dict[str, Any]:
    """The benchmark on another source; `pass` is None where it is too short, and `why` says so."""
    from transplant.evaluation.nib import run_nib

    facts = {"source": other.source, "dropped": other.dropped, "documents": len(other.documents)}
    windows = windows_of(backbone, other.documents, config.chunk_length, 10**9)
    try:
        with work.reporter.progress(f"comparing on {other.source}") as progress:
            found = run_nib(windows, anchor, candidate, config, seeds=seeds, progress=progress)
    except CorpusError as error:
        return {**facts, "nib": {"pass": None, "why": str(error)}}
    return {**facts, "nib": found.as_dict()}


def nib_against(
    target: Backbone,
    windows: Sequence[Window],
    anchor: Correction | None,
    candidate: Correction,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """NIB of one correction of a backbone against another.

    Args:
        target: the backbone.
        windows: held-out windows to draw chunks from.
        anchor: the correction to live up to; None where there is none.
        candidate: the correction to judge.
        progress: is told of each chunk.

    Returns:
        The report; without an anchor, and where the text is too short, `pass` is None and `why`
        says so.
    """
    from transplant.evaluation.nib import run_nib
    from transplant.evaluation.scoring import window_rows

    if anchor is None:
        return {"pass": None, "why": "no native to compare with"}
    of_anchor, of_candidate = (partial(window_rows, target, c) for c in (anchor, candidate))
    try:
        return run_nib(windows, of_anchor, of_candidate, progress=progress).as_dict()
    except CorpusError as error:
        return {"pass": None, "why": str(error)}


def power_report(
    windows: Sequence[Window],
    anchor: Logits,
    candidate: Logits,
    result: NIBResult,
    config: PowerConfig,
) -> dict[str, Any]:
    """Scores many chunks, and says what the chunks of `result` alone can tell.

    Args:
        windows: the held-out windows that `result` drew from.
        anchor: window -> logits of the model to live up to.
        candidate: window -> logits of the model to judge.
        result: the benchmark as it was run.
        config: the margin, the power, and how many chunks to measure.
    """
    from transplant.evaluation.nib import CRITERIA, run_nib
    from transplant.evaluation.power import measure_power

    protocol, drawn = result.config, len(result.scores)
    long_enough = sum(len(window) >= protocol.chunk_length for window in windows)
    # The same seed draws the same chunks first.
    many = dataclasses.replace(protocol, chunks=min(long_enough, config.measured))
    measured = run_nib(windows, anchor, candidate, many)
    values = {name: [getattr(score, name) for score in measured.scores] for name in CRITERIA}
    found = measure_power(values, drawn, config, level=protocol.level)
    return {
        **dataclasses.asdict(config),
        "chunks": drawn,
        "level": protocol.level,
        "measured": len(measured.scores),
        "documents": len({windows[index].document for index in measured.windows}),
        "criteria": {name: power.as_dict() for name, power in found.items()},
        "per_chunk": values,
    }
