"""Backbones with the vocabulary of another: measured by characters, stored in the registry."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.artifacts import record_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

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


def vocabulary_table(
    title: str, to: str, text: dict[str, dict[str, float]], tried: dict[str, float]
) -> Table:
    """Held-out loss of each system and, where methods were compared, what each cost there.

    Args:
        title: of the table.
        to: the backbone whose body it is, which `text` calls `before`.
        text: what `nats_per_character` found on held-out text, by system.
        tried: nats per character of calibration text, by method.
    """
    from commands.output import table

    best = min(tried, key=lambda method: tried[method], default=None)
    chosen = ("nats a character, calibration",) if tried else ()
    shown = table(title, "", "perplexity", "nats a character", *chosen)
    for system in dict.fromkeys((*text, *tried)):
        label = f"{to} itself" if system == "before" else system
        found = text.get(system)
        row = (f"{found['ppl']:.2f}", f"{found['nats_per_character']:.4f}") if found else ("", "")
        cost = (f"{tried[system]:.4f}" if system in tried else "",) if tried else ()
        shown.add_row(f"{label}, the best" if system == best else label, *row, *cost)
    return shown
