"""Saving and measuring a reference backbone."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from commands.corpora import read_splits, windows_of
from commands.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from transplant.backbones.view import Backbone
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


def evaluate_reference(
    session: Session, backbone: Backbone, prose: Splits, tokens: int
) -> dict[str, float]:
    """Held-out perplexity per token on `prose` and on `python`."""
    from transplant.evaluation.likelihood import score_documents

    found = {}
    for corpus, splits in (("prose", prose), ("python", read_splits(session, "python"))):
        windows = windows_of(backbone, splits.eval, 512, tokens)
        with session.out.progress(f"evaluating on {corpus}") as progress:
            scores = score_documents(backbone, windows, {"raw": None}, progress=progress)
        found[corpus] = scores["raw"].perplexity
    return found


def save_reference(
    session: Session, backbone: Backbone, folder: Path, report: dict[str, Any]
) -> None:
    """Writes a plain `save_pretrained` folder in half precision, and its manifest."""
    import torch

    from registry.manifest import BackboneRecord, Manifest
    from registry.store import Registry
    from transplant.backbones.load import load_backbone

    partial = folder.with_name(f".{folder.name}.partial")
    backbone.model.to(torch.float16).save_pretrained(partial)
    backbone.tokenizer.save_pretrained(partial)
    stored = load_backbone(backbone.name, path=partial)
    record = BackboneRecord(
        id=backbone.name,
        family=stored.family,
        d_model=stored.d_model,
        weights_sha256=stored.weights_sha256,
        tokenizer_sha256=stored.tokenizer_sha256,
        config_sha256=stored.config_sha256,
    )
    manifest = Manifest(
        name=backbone.name,
        kind="backbone",
        backbone=record,
        taps=tuple(range(stored.n_layers + 1)),
        made=session.made(corpus="prose", split=report["split"]),
        results={k: v for k, v in report.items() if k not in ("name", "split")},
        license="Apache-2.0",
    )
    Registry(folder.parent, reference=partial).write_backbone(manifest, partial)
    shutil.rmtree(partial)
