"""One training run of a module, from corpus to registry: for `train`, `transfer` and `demo`."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from commands.artifacts import refuse_existing, store_hosted
from commands.core_folders import refuse_taken
from commands.core_modules import check_core, refuse_inside, store_in_core
from commands.corpora import read_splits, windows_of
from commands.session import Session
from transplant.training.config import TrainConfig

if TYPE_CHECKING:
    from pathlib import Path

    from transplant.backbones.view import Backbone
    from transplant.modules.core import CoreCorrection


@dataclass(frozen=True)
class TrainJob:
    """What to train, on what."""

    backbone: str
    domain: str
    data: str
    name: str
    config: TrainConfig
    eval_tokens: int
    form: str | None = None
    """Of a module inside a core, which `name` then names; None: a module behind an interface."""


def run_train_job(
    session: Session, job: TrainJob, *, resume: bool = False, replace: bool = False
) -> dict[str, Any]:
    """Trains, evaluates on held-out documents, stores, and returns the report.

    Raises:
        ExistsError: the name is taken and `replace` is off.
    """
    from transplant.alignment.tokens import count_tokens
    from transplant.backbones.fingerprint import hash_tensors
    from transplant.evaluation.likelihood import score_documents
    from transplant.training.checkpoint import CheckpointFile
    from transplant.training.loop import train_module

    config = job.config
    if job.form is not None:
        refuse_taken(session, job.name)
    elif not replace:
        refuse_existing(session, ("module", "interface"), job.name, job.backbone, config.d_abi)
    began = time.monotonic()
    backbone = session.load_backbone(job.backbone)
    start = _start_in_core(session, backbone, job)
    if start is not None:
        config = dataclasses.replace(config, d_abi=start.module.d_abi)
    splits = read_splits(session, job.data)
    train = windows_of(backbone, splits.train, config.window, config.train_tokens)
    held = windows_of(backbone, splits.calibration, config.window, config.calibration_tokens)
    checkpoint = CheckpointFile(
        _checkpoint_path(session, job),
        {
            "config": dataclasses.asdict(config),
            "backbone": backbone.weights_sha256,
            "split": splits.fingerprint,
            "form": job.form,
        },
    )
    if not resume:
        checkpoint.remove()  # of an earlier run: it must not be offered after Ctrl-C
    title = f"training {job.name}@{job.backbone}"
    try:
        with backbone.frozen(), session.out.progress(title) as progress:
            trained = train_module(
                backbone, train, held, config, start=start,
                checkpoint=checkpoint, resume=resume, progress=progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        if checkpoint.path.is_file():
            session.out.note(f"stopped; the same command with --resume continues {checkpoint.path}")
        raise
    evaluated = windows_of(backbone, splits.eval, config.window, job.eval_tokens)
    likelihoods = score_documents(backbone, evaluated, {"raw": None, "native": trained.correction})
    ppl = {system: found.perplexity for system, found in likelihoods.items()}
    counts = count_tokens((i for window in train for i in window.ids), backbone.tokenizer)
    made = session.made(
        corpus=job.data,
        split=splits.fingerprint,
        recipe=dataclasses.asdict(config),
        token_counts=counts,
        form=job.form,
    )
    if job.form is None:
        store_hosted(
            session, job.name, job.domain, backbone, trained.correction,
            made=made, results={"ppl": ppl}, replace=replace,
        )  # fmt: skip
        name = f"{job.name}@{job.backbone}"
    else:
        module = trained.correction.module
        record = {
            "domain": job.domain, "d_abi": module.d_abi, "made": made, "results": {"ppl": ppl},
            "core": backbone.weights_sha256,
        }  # fmt: skip
        store_in_core(session, backbone, job.name, job.domain, job.form, module, record)
        name = f"{job.domain}@{job.name}"
    checkpoint.remove()
    return {
        "name": name,
        "backbone": job.backbone,
        "d_abi": trained.correction.module.d_abi,
        "module_sha256": hash_tensors(trained.correction.module.state_dict()),
        "trained_parameters": sum(
            p.numel() for p in trained.correction.parameters() if p.requires_grad
        ),
        "ppl": ppl,
        "steps": trained.course.step,
        "best_step": trained.course.best_step,
        "hidden_states": trained.rows,
        "seed": config.seed,
        "split": splits.fingerprint,
        "seconds": time.monotonic() - began,
    }


def _start_in_core(session: Session, backbone: Backbone, job: TrainJob) -> CoreCorrection | None:
    """The untrained module of a form inside a core whose other modules are off."""
    if job.form is None:
        refuse_inside(backbone, job.name)
        return None
    from transplant.modules.core import untrained_in_core

    core = check_core(session, backbone, job.domain)
    core.switch_off()
    return untrained_in_core(core, job.form, job.config.seed)


def _checkpoint_path(session: Session, job: TrainJob) -> Path:
    from registry.names import backbone_key

    folder = session.registry.root / ".runs"
    return folder / f"{job.name}@{backbone_key(job.backbone)}-d{job.config.d_abi}.safetensors"
