"""One training run of a module, from corpus to registry: for `train`, `transfer` and `demo`."""

from __future__ import annotations

import dataclasses
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.training.config import TrainConfig
from transplant.workflows.also_eval import judge_sources, read_sources
from transplant.workflows.artifacts import store_hosted
from transplant.workflows.cores.add_module import check_core, refuse_inside, store_in_core
from transplant.workflows.cores.folders import claim_core, weights_bytes
from transplant.workflows.train.job import INSIDE, OF_CORES, TrainJob
from transplant.workflows.train.text import TrainText, text_of_corpus, text_of_file
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.modules.core import CoreCorrection
    from transplant.modules.correction import Correction
    from transplant.training.checkpoint import CheckpointFile
    from transplant.training.share import Share


def run_train_job(
    work: Work, job: TrainJob, *, resume: bool = False, replace: bool = False
) -> dict[str, Any]:
    """Trains, evaluates on held-out documents, stores, and returns the report.

    Raises:
        ExistsError: the name is taken and `replace` is off.
    """
    from transplant.backbones.fingerprint import hash_tensors
    from transplant.evaluation.evidence import difference, in_nats
    from transplant.training.loop import train_module

    config = job.config
    if job.form is not None and replace:
        raise InputError(INSIDE, expected=OF_CORES)
    if job.form is not None:
        claim_core(work, job.called, weights_bytes(work, job.backbone))
    else:
        kinds = ("module", "interface")
        work.library.claim(kinds, job.called, job.backbone, config.d_abi, replace=replace)
    began = time.monotonic()
    backbone = work.backbone(job.backbone)
    start = _start_in_core(work, backbone, job)
    if start is not None:
        config = dataclasses.replace(config, d_abi=start.module.d_abi)
    with _open_text(work, job, backbone, config, start) as text:
        others = read_sources(work, job.also_eval, text.used, job.eval_tokens)
        checkpoint = _checkpoint(work, job, backbone, config, text.split)
        resume = work.continues(checkpoint.path, resume)
        if not resume:
            checkpoint.remove()  # of an earlier run: it must not be offered after Ctrl-C
        title = f"training {job.called}@{Path(job.backbone).name}"  # kept, and passed on
        with work.resumable(checkpoint.path), backbone.frozen():
            train, held = _read(work, backbone, text, config, start)
            with work.reporter.progress(title) as progress:
                trained = train_module(
                    backbone, train, held, config, start=start,
                    checkpoint=checkpoint, resume=resume, progress=progress,
                )  # fmt: skip
        scored = text.score(trained.correction)
        sources = {}
        if others:
            systems = {"raw": None, "native": trained.correction}
            found = judge_sources(work, backbone, systems, text.held_out, others, job.eval_tokens)
            sources["sources"] = found
        ppl = {system: found.perplexity for system, found in scored.items()}
    made = work.made(
        corpus=text.corpus,
        split=text.split,
        recipe=dataclasses.asdict(config),
        token_counts=text.token_counts,
        form=job.form,
        matmul_type=trained.matmul_type,
    )
    name = _store(work, job, backbone, trained.correction, made, {"ppl": ppl}, replace=replace)
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
        **sources,
        "difference": {"raw": in_nats(difference(scored["raw"], scored["native"]))},
        "steps": trained.course.step,
        "best_step": trained.course.best_step,
        "hidden_states": trained.rows,
        "matmul_type": trained.matmul_type,
        "seed": config.seed,
        "split": text.split,
        "made": {key: value for key, value in made.items() if key != "token_counts"},
        "seconds": time.monotonic() - began,
    }


def _store(
    work: Work,
    job: TrainJob,
    backbone: Backbone,
    correction: Correction,
    made: dict[str, Any],
    results: dict[str, Any],
    *,
    replace: bool,
) -> str:
    """Writes the module, with its interface or inside a new core, and returns its hosted name."""
    if job.form is None:
        store_hosted(
            work, job.called, job.domain, backbone, correction,
            made=made, results=results, replace=replace,
        )  # fmt: skip
        return f"{job.called}@{job.backbone}"
    module = correction.module
    record = {
        "domain": job.domain, "d_abi": module.d_abi, "made": made, "results": results,
        "core": backbone.weights_sha256, "core_config": backbone.config_sha256,
    }  # fmt: skip
    store_in_core(work, backbone, job.called, job.domain, job.form, module, record)
    return f"{job.domain}@{job.called}"


def _open_text(
    work: Work,
    job: TrainJob,
    backbone: Backbone,
    config: TrainConfig,
    start: CoreCorrection | None,
) -> AbstractContextManager[TrainText]:
    """The text of the job: its corpus, or the file that was captured."""
    if job.activations is None:
        return nullcontext(text_of_corpus(work, backbone, job.source, config, job.eval_tokens))
    taps = _taps(backbone, config, start)
    return text_of_file(work, backbone, job.activations, taps, config, job.eval_tokens)


def _taps(backbone: Backbone, config: TrainConfig, start: CoreCorrection | None) -> tuple[int, ...]:
    """The layers that are read."""
    return tuple(start.taps if start else backbone.check_taps(config.taps or backbone.all_taps))


def _read(
    work: Work,
    backbone: Backbone,
    text: TrainText,
    config: TrainConfig,
    start: CoreCorrection | None,
) -> list[Share]:
    """The hidden states of both sides of the text, where there is room to keep them."""
    from transplant.training.share import shares_of

    with work.reporter.progress(f"hidden states of {backbone.name}") as progress:
        return shares_of(
            backbone, (text.train, text.calibration), _taps(backbone, config, start),
            folder=work.library.root, progress=progress,
        )  # fmt: skip


def _start_in_core(work: Work, backbone: Backbone, job: TrainJob) -> CoreCorrection | None:
    """The untrained module of a form inside a core whose other modules are off."""
    if job.form is None:
        refuse_inside(backbone, job.called)
        return None
    from transplant.modules.core import untrained_in_core

    core = check_core(work, backbone, job.domain)
    core.switch_off()
    return untrained_in_core(core, job.form, job.config.seed)


def _checkpoint(
    work: Work, job: TrainJob, backbone: Backbone, config: TrainConfig, split: str
) -> CheckpointFile:
    """Where the run keeps its state, and what must be the same to continue it."""
    from transplant.backbones.arithmetic import computed_in
    from transplant.training.checkpoint import CheckpointFile

    run = {
        "config": dataclasses.asdict(config),
        "backbone": [backbone.weights_sha256, backbone.tokenizer_sha256, backbone.config_sha256],
        "split": split,
        "form": job.form,
        **computed_in(backbone),
    }
    return CheckpointFile(_checkpoint_path(work, job), run)


def _checkpoint_path(work: Work, job: TrainJob) -> Path:
    if job.form is not None:  # it becomes a core of that name
        return work.library.checkpoint_path(job.called)
    return work.library.checkpoint_path(job.called, job.backbone, job.config.d_abi)
