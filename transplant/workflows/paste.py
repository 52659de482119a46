"""Pasting modules from core to core: folders or names in, a new core and a report out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from transplant.validation import Bounds
from transplant.workflows.cores.folders import (
    claim_core,
    core_folder,
    describe_core,
    make_untrained,
    promised_tensors,
)
from transplant.workflows.cores.modules_inside import module_records
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.library import BackboneDescription
    from transplant.paste.plan import PastePlan
    from transplant.paste.report import PasteReport
    from transplant.progress import Progress

UNTRAINED = "untrained"
"""The module of a core that `init_missing` makes where no module is named."""


@dataclass(frozen=True)
class PasteJob:
    """What is pasted, from where, and where to."""

    source: str
    """The core that has the modules."""
    to: str
    """The core that they are for."""
    modules: tuple[str, ...] | None = None
    """A module's name, of several each; None for all of them."""
    out: Path | None = None
    """The folder to write; None for a new core in the library."""
    name: str | None = None
    """Its name in the library; None for `<to>-<modules>`."""
    replace: bool = False
    """Whether a module of that name in the target, and a folder at `out`, may go."""
    init_missing: Annotated[int | None, Bounds(0)] = None
    """The seed of cores of a named size that are missing and made, untrained; None: none is
    made."""


def plan_job(work: Work, job: PasteJob) -> PastePlan:
    """What a job would copy; cores that are missing are made first where the job says so.

    Raises:
        NotFoundError: a core is missing.
        ExistsError: the name or the folder is taken.
        InputError, CorruptError: as `plan_paste`; a stored source is not as it was written.
    """
    from transplant.paste.paste import plan_paste
    from transplant.paste.staging import check_out

    if job.out is not None:  # before cores are made for it
        check_out(job.out.absolute(), (), replace=job.replace)
    elif job.name is not None:
        work.library.check_free(("backbone",), job.name, None, None)
    _make_missing(work, job)
    donor = core_folder(work, job.source, "source")
    target = core_folder(work, job.to, "to")
    return plan_paste(
        donor, target, job.modules and [*job.modules], replace=job.replace,
        source_promised=promised_tensors(work, donor),
        target_promised=promised_tensors(work, target),
    )  # fmt: skip


def run_paste(work: Work, job: PasteJob) -> dict[str, Any]:
    """Copies the modules' bytes: no model is built, nothing is computed.

    Returns:
        The hashes in the source and as read back, the bytes copied, seconds, and where it went.

    Raises:
        ExistsError: the name or the folder is taken.
        CorruptError: a stored source or target is not as it was written; nothing is left behind.
    """
    return paste_plan(work, job, plan_job(work, job))


def paste_plan(work: Work, job: PasteJob, plan: PastePlan) -> dict[str, Any]:
    """Carries out what `plan_job` returned for a job; see `run_paste`."""
    from transplant.paste.paste import bytes_needed, paste

    stored = job.name or "-".join([Path(job.to).name, *(module.name for module in plan.modules)])
    if job.out is None:
        claim_core(work, stored, bytes_needed(plan))
    with work.reporter.progress("pasting") as bar:

        def progress(done: int, total: int, _: str) -> None:
            bar(done >> 20, total >> 20, "MiB")

        if job.out is None:
            folder, report = _paste_into_library(work, job, plan, stored, progress)
        else:
            folder = job.out
            report = paste(plan, folder, replace_out=job.replace, progress=progress)
    return {**report.as_dict(), "out": str(folder), "from": job.source, "to": job.to}


def _paste_into_library(
    work: Work, job: PasteJob, plan: PastePlan, name: str, progress: Progress
) -> tuple[Path, PasteReport]:
    """Pastes inside the library: nothing is copied once more, and no other folder is used."""
    from transplant.paste.paste import bytes_needed, paste_into

    reports: list[PasteReport] = []

    def fill(folder: Path) -> BackboneDescription:
        report, tensors = paste_into(plan, folder, progress=progress)
        reports.append(report)
        return describe_core(
            work, name, folder, tensors=tensors, source=job.source, to=job.to,
            modules=_records(work, job, plan),
        )  # fmt: skip

    entry = work.library.fill_backbone(name, fill, needed=bytes_needed(plan))
    return entry.path, reports[0]


def _make_missing(work: Work, job: PasteJob) -> None:
    from transplant.backbones.layercake.sizes import SIZES

    for core, module in ((job.source, (job.modules or (UNTRAINED,))[0]), (job.to, None)):
        missing = core in SIZES and not work.library.holds_backbone(core)
        if missing and job.init_missing is not None:
            work.reporter.note(f"making an untrained {core}")
            make_untrained(work, core, job.init_missing, module)


def _records(work: Work, job: PasteJob, plan: PastePlan) -> dict[str, Any]:
    """How each module inside the new core was made."""
    records = module_records(work.library, job.source)
    moved = {m.name: records[m.name] for m in plan.modules if m.name in records}
    return {**module_records(work.library, job.to), **moved}


def note_of(plan: PastePlan, job: PasteJob) -> str:
    """What a paste does not do, and the moves that do it."""
    note = (
        "The weights are identical; where the two cores were trained apart, what the module does "
        "there is not."
    )
    for module in plan.modules:
        if module.form == "lite":  # a move pairs single positions: `full` reads whole windows
            move = f"`transfer(module={f'{module.name}@{job.source}'!r}, to={job.to!r})`"
            note += f" {move} fits it to its new core, and measures both."
    return note
