"""Export of a hosted module: a name in, a folder and a report out."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING, Any

from transplant.workflows.export import as_lora, as_safetensors, as_transformers
from transplant.workflows.export.card import write_card
from transplant.workflows.export.place import FULL, check_place, new_folder
from transplant.workflows.export.push import check_push, push_folder
from transplant.workflows.export.source import read_source
from transplant.workflows.export.spec import LORA, SAFETENSORS, TRANSFORMERS, ExportJob

if TYPE_CHECKING:
    from transplant.workflows.work import Work

TABLE = {TRANSFORMERS: as_transformers, LORA: as_lora, SAFETENSORS: as_safetensors}
"""By the names of `spec.FORMS`: `check`, `bytes_needed`, `write` and `LIBRARY`, a file each."""
PROVENANCE = "abi.json"


def run_export(work: Work, job: ExportJob) -> dict[str, Any]:
    """Writes the folder, whole or not at all.

    Returns:
        The report: files, bytes, the largest difference of logits, licences, seconds.

    Raises:
        ExistsError: the folder is there.
        InputError: what cannot be exported in that form.
        NumericalError: what was written computes something else than what was loaded.
        StorageError: the disk, or the hub, refused; a whole folder stays.
    """
    from transplant.files.room import check_room

    began = time.monotonic()
    check_place(job.out)
    if job.push is not None:
        check_push(job.push)
    source = read_source(work, job.name)
    job = dataclasses.replace(job, form=job.form or source.own_form)
    form = TABLE[str(job.form)]
    form.check(source, job)
    if job.push is not None and source.hub is None and not job.with_backbone:
        work.reporter.warn(
            f"{source.hosted.backbone.name} is on no hub as far as is known here: whoever loads "
            f"{job.push} has to have that backbone"
        )
    needed = form.bytes_needed(source, job)
    check_room(job.out.absolute().parent, needed, FULL)
    with new_folder(job.out, needed) as folder:
        facts = form.write(source, job, folder)
        record = source.provenance(token_counts=job.with_token_counts)
        (folder / PROVENANCE).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        write_card(source, facts, folder, library=form.LIBRARY)
    facts.pop("use")  # of the card
    if job.push is not None:
        with work.reporter.progress(f"sending to {job.push}"):
            facts["pushed"] = push_folder(job.out, job.push, public=job.public)
    files = sorted(file for file in job.out.rglob("*") if file.is_file())
    return {
        "name": source.manifest.hosted, "form": job.form, "out": str(job.out),
        "backbone": source.hosted.backbone.name, **facts,
        "files": [str(file.relative_to(job.out)) for file in files],
        "bytes": sum(file.stat().st_size for file in files),
        "licenses": dict(source.licenses), "seconds": time.monotonic() - began,
    }  # fmt: skip
