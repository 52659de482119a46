"""An adapter inside a basis: trained on a domain, stored, handed on to PEFT, merged."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from transplant.files.all_or_none import all_or_none
from transplant.workflows.basis.allocate import basis_of
from transplant.workflows.basis.handed_on import claim_places, hand_on
from transplant.workflows.basis.scores import change, score_text
from transplant.workflows.basis.spec import AdaptJob
from transplant.workflows.basis.stored import check_basis, claim, read_basis, store_basis
from transplant.workflows.corpus import read_as_needed, windows_of

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.backbones.view import Backbone
    from transplant.text.windows import Window
    from transplant.workflows.work import Work

PROBE = 32  # tokens that are read with C = 0 and without the adapter


def run_adapt(work: Work, job: AdaptJob, *, replace: bool = False) -> dict[str, Any]:
    """Trains C inside a basis whose ranks are allocated, and stores U_r, C and R_r.

    The adapter, its folder for PEFT and the merged backbone are all written, or none of them.

    Returns:
        The report: parameters, held-out losses before and after with their paired difference,
        the same on other text, the change of logits at step 0, seconds.

    Raises:
        NotFoundError: no such basis.
        InputError: the basis has no ranks, or a merge would change weights that are shared.
        BackboneError: weights that are needed are not in memory.
        ExistsError: a name or a folder is taken.
    """
    from transplant.basis.adapter import adapter_of
    from transplant.basis.maps import select_maps
    from transplant.basis.train import train_inside
    from transplant.surgery.lora.merge import check_mergeable

    name = job.name or job.domain
    work.library.check_name(name)
    hosted, record, _ = check_basis(work, job.basis)
    ranks = record.allocated(job.basis)
    claim(work, name, hosted.backbone, replace=replace)
    claim_places(work, job, hosted.backbone)
    began, config = time.monotonic(), job.config
    stored = read_basis(work, job.basis)
    backbone = stored.backbone
    maps = [m for m in select_maps(backbone, str(record.fit["layers"])) if m.name in ranks]
    if job.merge is not None:
        check_mergeable(backbone, [f"{m.name}.weight" for m in maps])
    adapter = adapter_of(maps, basis_of(stored), ranks).to_device(backbone.device)
    data = job.data or job.domain
    splits = read_as_needed(
        work, data, train=config.train_tokens, calibration=config.calibration_tokens,
        evaluation=job.eval_tokens,
    )  # fmt: skip
    train = windows_of(backbone, splits.train, config.window, config.train_tokens)
    held = windows_of(backbone, splits.calibration, config.window, config.calibration_tokens)
    texts = {"domain": windows_of(backbone, splits.eval, config.window, job.eval_tokens)}
    if job.forget is not None:
        other = read_as_needed(work, job.forget, evaluation=job.eval_tokens)
        texts["other"] = windows_of(backbone, other.eval, config.window, job.eval_tokens)
    with backbone.frozen():
        before, raw = score_text(work, backbone, texts), _probe(backbone, held[0])
        with adapter.attached(maps):
            start = float((_probe(backbone, held[0]) - raw).abs().max())
            with work.reporter.progress(f"adapting {backbone.name} to {job.domain}") as progress:
                course = train_inside(backbone, adapter, train, held, config, progress)
            after = score_text(work, backbone, texts)
    losses = {text: change(before[text], after[text]) for text in texts}
    adapted = {
        **dataclasses.asdict(config), "corpus": data, "split": splits.fingerprint,
        "basis": job.basis, "best_step": course.best_step,
    }  # fmt: skip
    seconds = time.monotonic() - began
    results = {"losses": losses, "logits_at_step_0": start, "seconds": seconds}
    with all_or_none() as removals:
        handed_on = hand_on(work, job, backbone, adapter, removals)
        entry = store_basis(  # last: what it may replace would not come back
            work, name, backbone, dataclasses.replace(record, adapted=adapted),
            adapter.as_tensors(), replace=replace, domain=job.domain, results=results,
            parents={"basis": stored.entry.manifest.sha256}, corpus=data, split=splits.fingerprint,
        )  # fmt: skip
    return {
        "name": f"{name}@{hosted.backbone}", "basis": job.basis, "domain": job.domain,
        "corpus": data, "split": splits.fingerprint, "maps": len(maps),
        "parameters": adapter.trainable, **results, "history": course.history,
        "best_step": course.best_step, "seed": config.seed,
        **handed_on, "sha256": entry.manifest.sha256, "path": str(entry.path),
    }  # fmt: skip


def _probe(backbone: Backbone, window: Window) -> Tensor:
    """The logits [tokens, vocab] of the first tokens of a window, of whatever is at work."""
    from transplant.text.windows import Window

    short = Window(window.ids[:PROBE], window.ends[:PROBE], 0)
    return backbone.head(backbone.read([short]).h_last).float()
