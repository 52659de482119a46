"""Export of a hosted module: a name in, a folder and a report out."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.workflows.export import as_transformers
from transplant.workflows.export.card import write_card
from transplant.workflows.export.place import check_place, new_folder
from transplant.workflows.export.source import read_source

if TYPE_CHECKING:
    from transplant.workflows.work import Work

FORMS = {"transformers": as_transformers}
"""By name: `check`, `bytes_needed` and `write`, a file each."""
PROVENANCE = "abi.json"


@dataclass(frozen=True, kw_only=True)
class ExportJob:
    """What is exported, as what, and where to."""

    name: str
    """The hosted module, as `python@ref-gpt2`."""
    out: Path
    """The folder to be; it must not be there."""
    form: str = "transformers"
    """One of FORMS."""
    with_backbone: bool = False
    """Whether the backbone's weights are copied, so that the folder stands alone."""
    code: bool = False
    """Whether the folder brings its code, for those who do not have this library."""
    with_token_counts: bool = False
    """Whether the counts of the training text's tokens are told: they tell of that text."""

    def __post_init__(self) -> None:
        """Refuses what makes no sense together.

        Raises:
            InputError: an unknown form, or an option of another one.
        """
        if self.form not in FORMS:
            raise InputError("`form`", expected=f"one of {[*FORMS]}", found=self.form)
        for option in ("with_backbone", "code"):
            if getattr(self, option) and self.form != "transformers":
                raise InputError(
                    f"`{option}` has no use here", expected="`form='transformers'`",
                    found=self.form,
                )  # fmt: skip


def run_export(work: Work, job: ExportJob) -> dict[str, Any]:
    """Writes the folder, whole or not at all.

    Returns:
        The report: files, bytes, the largest difference of logits, licences, seconds.

    Raises:
        ExistsError: the folder is there.
        InputError: what cannot be exported in that form.
        NumericalError: what was written computes something else than what was loaded.
    """
    from transplant.files.room import check_room

    began, form = time.monotonic(), FORMS[job.form]
    check_place(job.out)
    source = read_source(work, job.name)
    form.check(source, job)
    needed = form.bytes_needed(source, job)
    check_room(job.out.absolute().parent, needed, "a folder on another disk")
    with new_folder(job.out, needed) as folder:
        facts = form.write(source, job, folder)
        record = source.provenance(token_counts=job.with_token_counts)
        (folder / PROVENANCE).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        write_card(source, facts, folder)
    facts.pop("use")  # of the card
    files = sorted(file for file in job.out.rglob("*") if file.is_file())
    return {
        "name": source.manifest.hosted, "form": job.form, "out": str(job.out),
        "backbone": source.hosted.backbone.name, **facts,
        "files": [str(file.relative_to(job.out)) for file in files],
        "bytes": sum(file.stat().st_size for file in files),
        "licenses": dict(source.licenses), "seconds": time.monotonic() - began,
    }  # fmt: skip
