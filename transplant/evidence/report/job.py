"""A report of runs: evidence in, one document out, as a page, as Markdown or as PDF."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transplant.errors import InputError, foreign
from transplant.evidence.report import controls, evidence, moves
from transplant.evidence.report.lineage import lineage_of
from transplant.evidence.report.record import glossary_section, record_section
from transplant.evidence.report.runs import LeftOut, Run, read_runs
from transplant.evidence.report.samples import samples_section
from transplant.evidence.report.wording import Wording
from transplant.files.results import write_file
from transplant.files.writable import check_writable
from transplant.pictures.document.blocks import Block, Document, LineageBlock, Section
from transplant.pictures.document.html import as_html
from transplant.pictures.document.markdown import as_markdown
from transplant.pictures.document.pdf import as_pdf, require_weasyprint
from transplant.pictures.page import require_plotting
from transplant.workflows.work import Work

FORMATS: dict[str, Callable[[Document], bytes]] = {
    ".html": lambda document: as_html(document).encode(),
    ".md": lambda document: as_markdown(document).encode(),
    ".pdf": lambda document: as_pdf(as_html(document)),
}
"""By the ending of the file, how a document becomes bytes."""
WHOLE = "results as they were written"


@dataclass(frozen=True, kw_only=True)
class ReportJob:
    """What a report is made of.

    Raises:
        InputError: a file of another ending; fewer than no samples.
    """

    runs: Sequence[str]
    """Names of artifacts, files of results, or folders of such files."""
    out: Path
    """The file: .html, .md or .pdf."""
    prompts: Sequence[str] = ()
    """To write text from; none: beginnings of held-out documents."""
    samples: int = 2
    """How many prompts are taken from documents where none is given; 0: no text is written."""
    words: Wording = field(default_factory=Wording)
    """How calls are typed."""

    def __post_init__(self) -> None:
        """Refuses what no report can be made of."""
        if self.out.suffix not in FORMATS:
            raise InputError("`out`", expected=f"a file {', '.join(FORMATS)}", found=str(self.out))
        if self.samples < 0:
            raise InputError("`samples`", expected=">= 0", found=self.samples)


def run_report(work: Work, job: ReportJob) -> dict[str, Any]:
    """Writes a report, whole or not at all.

    Returns:
        The file, its bytes, the headline, the runs by kind, what is named as missing, and the files
        of folders that were left out, with the reason.

    Raises:
        InputError: a file that holds no result, or half of one.
        NotFoundError: neither a file nor an artifact.
        StorageError: the disk refused.
        TransplantError: the extra that draws the file is not installed.
    """
    check_writable(job.out)
    if job.out.suffix == ".pdf":
        require_weasyprint()
    if job.out.suffix != ".md":
        require_plotting()
    read, left_out = read_runs(work, job.runs)
    runs, half = _whole(read, job.words)
    for one in (left_out := left_out + half):
        work.reporter.warn(f"left out: {one.why}")
    what = "cannot report on " + ", ".join(dict.fromkeys(run.given for run in runs))
    with foreign(what, InputError, expected=WHOLE):
        document = document_of(work, runs, job)
        content = FORMATS[job.out.suffix](document)
    write_file(job.out, content)
    return {
        "file": str(job.out),
        "bytes": len(content),
        "headline": document.headline,
        "runs": [{"given": run.given, "kind": run.kind, "of": run.title} for run in runs],
        "sections": [section.title for section in document.sections],
        "missing": [line for section in document.sections for line in section.missing],
        "left_out": [dataclasses.asdict(one) for one in left_out],
    }


def _whole(runs: Sequence[Run], words: Wording) -> tuple[list[Run], list[LeftOut]]:
    """The runs, and files of folders that hold half of a result.

    Raises:
        InputError: there is nothing else.
    """
    whole: list[Run] = []
    faults: list[tuple[str, InputError]] = []
    for run in runs:
        try:
            if run.folder is not None:
                with foreign(f"cannot report on {run.given}", InputError, expected=WHOLE):
                    before, after = _told([run], words)
                    as_markdown(Document("", moves.headline_of([run]), "", [*before, *after]))
            whole.append(run)
        except InputError as error:
            faults.append((run.given, error))
    if faults and not whole:
        raise faults[0][1]
    return whole, [LeftOut(file, error.line()) for file, error in faults]


def document_of(work: Work, runs: Sequence[Run], job: ReportJob) -> Document:
    """The whole document, its calls in the reader's wording."""
    sections = _sections(work, runs, job)
    headline = moves.headline_of(runs)
    sections = [_in_words(section, job.words) for section in sections]
    sections.append(glossary_section(sections, headline))
    now = datetime.now(UTC)
    return Document(
        title=f"Report: {_subject(runs)}",
        headline=headline,
        about=f"Made on {now:%Y-%m-%d %H:%M} UTC of {_counted(runs)}. What was not measured is "
        "named as missing.",
        sections=[one for one in sections if one.blocks or one.missing],
    )


def _sections(work: Work, runs: Sequence[Run], job: ReportJob) -> list[Section]:
    lineage = lineage_of(work, runs)
    drawn: list[Block] = [LineageBlock(lineage)] if lineage.nodes else []
    unknown = () if drawn else ("none of the artifacts is in this registry",)
    before, after = _told(runs, job.words)
    moved, *inside = before
    written = samples_section(work, runs, job.prompts, job.samples)
    return [moved, Section("Lineage", drawn, unknown), *inside, written, *after]


def _told(runs: Sequence[Run], words: Wording) -> tuple[list[Section], list[Section]]:
    """What the runs tell by themselves, before and after the text that their models write."""
    model = _subject(runs)
    before = [
        moves.moved_section(runs),
        moves.alignment_section(runs),
        controls.nib_section(runs),
        controls.controls_section(runs),
        evidence.trace_section(runs, model),
        evidence.pairs_section(runs, model),
        evidence.uncertainty_section(runs, model),
    ]
    after = [
        evidence.validation_section(runs, model),
        evidence.catalog_section(runs),
        evidence.other_section(runs),
        record_section(runs, words),
    ]
    return before, after


def _in_words(section: Section, words: Wording) -> Section:
    return Section(section.title, section.blocks, [words.text(line) for line in section.missing])


def _subject(runs: Sequence[Run]) -> str:
    """What the report is of: the first move, else the first run."""
    first = next((run for run in runs if run.kind == "move"), runs[0])
    return first.title


def _counted(runs: Sequence[Run]) -> str:
    sources = len({run.given for run in runs})
    return f"{len(runs)} result{'s' * (len(runs) != 1)} from {sources} place{'s' * (sources != 1)}"
