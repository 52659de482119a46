"""An adapter beside its library entry: a folder for PEFT, and a backbone with it in its weights."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from transplant.files.whole_folder import clear, missing_above, remove_empty
from transplant.workflows.basis.spec import AdaptJob

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.basis.adapter import BasisAdapter
    from transplant.workflows.work import Work


def claim_places(work: Work, job: AdaptJob, backbone: str) -> None:
    """Takes the folder and the name of the backbone before the work.

    Raises:
        ExistsError: one of them is taken.
    """
    from transplant.workflows.cores.folders import claim_core, weights_bytes
    from transplant.workflows.export.place import check_place

    if job.peft is not None:
        check_place(job.peft)
    if job.merge is not None:
        claim_core(work, job.merge, weights_bytes(work, backbone))


def hand_on(
    work: Work, job: AdaptJob, backbone: Backbone, adapter: BasisAdapter, removals: ExitStack
) -> dict[str, Any]:
    """Writes the folder for PEFT and the merged backbone, where they were asked for.

    Args:
        work: the setting.
        job: what was asked for.
        backbone: that the adapter belongs to.
        adapter: as it will be stored.
        removals: gets what removes each of them again.

    Returns:
        Their paths, by `peft` and `merged`.
    """
    from transplant.backbones.fingerprint import hash_tensors
    from transplant.surgery.lora.merge import merged
    from transplant.surgery.lora.peft_folder import write_peft
    from transplant.workflows.export.place import new_folder
    from transplant.workflows.vocabulary import store_backbone

    update, found = adapter.as_lora(), {}
    if job.peft is not None:
        above = missing_above(job.peft)
        with new_folder(job.peft) as folder:
            base = work.library.backbone_path(backbone.name) or backbone.name
            write_peft(folder, update, backbone, base=str(base), revision=backbone.revision)
        removals.callback(remove_empty, above)
        removals.callback(clear, job.peft)
        found["peft"] = str(job.peft)
    if job.merge is not None:
        made = merged(job.merge, backbone, update)
        parents = {"body": backbone.weights_sha256, "basis": hash_tensors(adapter.as_tensors())}
        entry = store_backbone(work, made, work.made(merged=job.domain), parents=parents)
        removals.callback(work.library.remove, entry)
        found["merged"] = str(entry.path)
    return found
