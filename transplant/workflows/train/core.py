"""One training run of a core, or of the plain transformer beside it, from corpus to registry."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from transplant.backbones.layercake.sizes import count_parameters
from transplant.backbones.written import write_model
from transplant.workflows.cores.folders import claim_core, store_core
from transplant.workflows.corpus import read_splits, windows_of
from transplant.workflows.scratch import scratch_folder
from transplant.workflows.train.core_job import CoreJob
from transplant.workflows.train.reference import TOKENIZER_CHARS, first_chars
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from transplant.text.splits import Splits

CHECKPOINT_COPIES = 4  # weights, two moments, and the result beside them


def run_core_job(work: Work, job: CoreJob, *, resume: bool) -> dict[str, Any]:
    """Trains, measures on held-out documents, stores, and returns the report.

    Raises:
        ExistsError: the name is taken.
    """
    from transplant.backbones.fingerprint import hash_tokenizer
    from transplant.backbones.load import check_device
    from transplant.backbones.views import view_of
    from transplant.evaluation.likelihood import score_documents
    from transplant.text.limits import stream_chars
    from transplant.text.windows import pack_tokens
    from transplant.training.checkpoint import CheckpointFile
    from transplant.training.pretrain import pretrain

    claim_core(work, job.called, CHECKPOINT_COPIES * 4 * count_parameters(job.shape, job.vocab))
    began = time.monotonic()
    reach = stream_chars(train=job.config.tokens, evaluation=job.eval_tokens)
    splits = read_splits(work, job.data, job.max_chars, reach)
    tokenizer = _tokenizer(work, job, splits)
    model: Any = _untrained(job, tokenizer)
    model.to(check_device(work.device))
    rows = pack_tokens(splits.train, tokenizer, job.window)
    run = {
        "recipe": job.recipe,
        "plain": job.baseline,
        "split": splits.fingerprint,
        "tokenizer": hash_tokenizer(tokenizer),
    }
    checkpoint = CheckpointFile(work.library.checkpoint_path(job.called), run)
    resume = work.continues(checkpoint.path, resume)
    if not resume:
        checkpoint.remove()  # of an earlier run: it must not be offered after Ctrl-C
    started = time.monotonic()
    with (
        work.resumable(checkpoint.path),
        work.reporter.progress(f"training {job.called}") as progress,
    ):
        loss = pretrain(
            model, rows, job.config, checkpoint=checkpoint, resume=resume, progress=progress
        )
    trained = time.monotonic()
    backbone = view_of(job.called, model, tokenizer)
    windows = windows_of(backbone, splits.eval, job.window, job.eval_tokens)
    held_out = score_documents(backbone, windows, {"raw": None})["raw"].perplexity
    parameters = sum(parameter.numel() for parameter in model.parameters())
    results = {
        "parameters": parameters,
        "train_loss": loss,
        "ppl": held_out,
        "train_seconds": trained - started,
    }
    with scratch_folder(work, job.called, "storing") as folder:
        write_model(model, tokenizer, folder)
        entry = store_core(work, job.called, folder, results, move=True, **run)
    checkpoint.remove()
    return {
        "name": job.called,
        "kind": "plain" if job.baseline else "core",
        **results,
        "tokens": job.config.tokens,
        "split": splits.fingerprint,
        "path": str(entry.path),
        "seconds": time.monotonic() - began,
    }


def _tokenizer(work: Work, job: CoreJob, splits: Splits) -> PreTrainedTokenizerBase:
    from transplant.text.tokenizers import train_tokenizer

    if job.tokenizer is not None:
        return work.backbone(job.tokenizer).tokenizer
    work.reporter.note("training the tokenizer ...")
    texts = first_chars(splits.train, TOKENIZER_CHARS)
    return train_tokenizer("bpe", texts, job.vocab, context=job.window)


def _untrained(job: CoreJob, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    from transplant.backbones.layercake import LayerCakeConfig, build_core
    from transplant.backbones.layercake.baseline import build_baseline
    from transplant.backbones.reference import special_ids

    special = special_ids(tokenizer)
    seed, entries = job.config.seed, len(tokenizer)
    if job.baseline:
        return build_baseline(job.shape, entries, seed, context=job.window, **special)
    options = {**special, "max_position_embeddings": job.window}
    return build_core(LayerCakeConfig.from_size(job.shape, entries, **options), seed)
