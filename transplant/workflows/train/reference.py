"""Saving and measuring a reference backbone."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from transplant.backbones.written import write_model
from transplant.errors import InputError
from transplant.training.config import PretrainConfig
from transplant.workflows.corpus import read_splits, windows_of
from transplant.workflows.scratch import scratch_folder
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transplant.backbones.view import Backbone
    from transplant.library import Library
    from transplant.text.documents import Document
    from transplant.text.splits import Splits

TOKENIZER_CHARS = 8_000_000  # of the training split: enough for some thousand entries


def first_chars(documents: Sequence[Document], chars: int) -> list[str]:
    """The first texts that together have at least `chars` characters."""
    taken, total = [], 0
    for document in documents:
        taken.append(document.text)
        total += len(document.text)
        if total >= chars:
            break
    return taken


def train_new_reference(
    work: Work,
    library: Library,
    name: str,
    tokens: int | None,
    max_chars: int | None,
    eval_tokens: int,
) -> dict[str, Any]:
    """Trains a reference backbone, measures it on held-out documents, stores and reports it.

    Args:
        work: library, device, seed and reporter.
        library: where it is stored.
        name: one of `REFERENCES`.
        tokens: tokens that are read; None for as many as the shipped one has read.
        max_chars: characters of the corpus `prose` that are used; None for all of it.
        eval_tokens: held-out tokens of each corpus.

    Raises:
        InputError: no reference has that name.
        ExistsError: `library` has one of that name.
    """
    from transplant.backbones.reference import CONTEXT, REFERENCES
    from transplant.backbones.views import view_of
    from transplant.text.windows import pack_tokens
    from transplant.training.pretrain import pretrain_cycles

    if name not in REFERENCES:
        raise InputError("unknown reference", expected=f"one of {[*REFERENCES]}", found=name)
    library.claim(("backbone",), name, None, None)
    began = time.monotonic()
    spec = REFERENCES[name]
    splits = read_splits(work, "prose", max_chars)
    work.reporter.note("training the tokenizer ...")
    tokenizer = spec.make_tokenizer(first_chars(splits.train, TOKENIZER_CHARS))
    rows = pack_tokens(splits.train, tokenizer, CONTEXT)
    model = spec.make_model(tokenizer)
    cycles = spec.cycles if tokens is None else ((tokens, PretrainConfig.learning_rate),)
    with work.reporter.progress(f"training {name}") as progress:
        loss = pretrain_cycles(model, rows, cycles, spec.seed, progress)
    backbone = view_of(name, model, tokenizer)
    report = {
        "name": name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "tokens": sum(read for read, _ in cycles),
        "cycles": cycles,
        "train_loss": loss,
        "ppl": evaluate_reference(work, backbone, splits, eval_tokens),
        "split": splits.fingerprint,
        "seconds": time.monotonic() - began,
    }
    save_reference(work, backbone, library, report)
    return report


def evaluate_reference(
    work: Work, backbone: Backbone, prose: Splits, tokens: int
) -> dict[str, float]:
    """Held-out perplexity per token on `prose` and on `python`."""
    from transplant.evaluation.likelihood import score_documents

    found = {}
    for corpus, splits in (("prose", prose), ("python", read_splits(work, "python"))):
        windows = windows_of(backbone, splits.eval, 512, tokens)
        with work.reporter.progress(f"evaluating on {corpus}") as progress:
            scores = score_documents(backbone, windows, {"raw": None}, progress=progress)
        found[corpus] = scores["raw"].perplexity
    return found


def save_reference(
    work: Work, backbone: Backbone, library: Library, report: dict[str, Any]
) -> None:
    """Writes a plain `save_pretrained` folder in half precision, and its manifest."""
    import torch

    from transplant.backbones.load import load_backbone

    with scratch_folder(dataclasses.replace(work, library=library), backbone.name, "storing") as at:
        write_model(backbone.model.to(torch.float16), backbone.tokenizer, at)
        stored = load_backbone(backbone.name, path=at)
        library.store_backbone(
            at, backbone=stored, taps=tuple(range(stored.n_layers + 1)),
            made=work.made(corpus="prose", split=report["split"]),
            results={k: v for k, v in report.items() if k not in ("name", "split")},
            license="Apache-2.0",
        )  # fmt: skip
