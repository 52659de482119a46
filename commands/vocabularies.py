"""Backbones with the vocabulary of another: measured by characters, stored in the registry."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.artifacts import record_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commands.session import Session
    from registry.entry import Entry
    from transplant.backbones.view import Backbone
    from transplant.text.documents import Document


def nats_per_character(
    backbone: Backbone, documents: Sequence[Document], tokens: int
) -> dict[str, float]:
    """Held-out loss, for each token and for each character that is predicted.

    Only the second compares backbones of different vocabularies.
    """
    from commands.corpora import windows_of
    from transplant.evaluation.likelihood import score_documents
    from transplant.text.windows import predicted_characters

    windows = windows_of(backbone, documents, 512, tokens)
    found = score_documents(backbone, windows, {"it": None})["it"]
    characters = predicted_characters(windows)
    return {
        "ppl": found.perplexity,
        "nats_per_character": float(found.nats.sum()) / max(1, characters),
        "characters": characters,
    }


def store_backbone(
    session: Session, backbone: Backbone, made: dict[str, Any], **facts: Any
) -> Entry:
    """Writes a backbone that is in memory to the registry."""
    from registry.manifest import Manifest

    manifest = Manifest(
        name=backbone.name, kind="backbone", backbone=record_of(backbone),
        taps=backbone.all_taps, made=made, **facts,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        backbone.model.save_pretrained(folder)
        backbone.tokenizer.save_pretrained(folder)
        return session.registry.write_backbone(manifest, Path(folder))
