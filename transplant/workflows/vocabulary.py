"""Backbones with the vocabulary of another: measured by characters, stored in the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.backbones.written import write_model
from transplant.validation import check_held
from transplant.workflows.cores.folders import claim_core, weights_bytes
from transplant.workflows.corpus import read_as_needed
from transplant.workflows.scratch import scratch_folder
from transplant.workflows.token_map import map_name, stored_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transplant.backbones.view import Backbone
    from transplant.library import Entry
    from transplant.surgery.embeddings.config import EmbedConfig
    from transplant.text.documents import Document
    from transplant.workflows.work import Work


def nats_per_character(
    backbone: Backbone, documents: Sequence[Document], tokens: int
) -> dict[str, float]:
    """Held-out loss, for each token and for each character that is predicted.

    Only the second compares backbones of different vocabularies.
    """
    from transplant.evaluation.likelihood import score_documents
    from transplant.text.windows import predicted_characters
    from transplant.workflows.corpus import windows_of

    windows = windows_of(backbone, documents, 512, tokens)
    found = score_documents(backbone, windows, {"it": None})["it"]
    characters = predicted_characters(windows)
    return {
        "ppl": found.perplexity,
        "nats_per_character": float(found.nats.sum()) / max(1, characters),
        "characters": characters,
    }


def store_backbone(work: Work, backbone: Backbone, made: dict[str, Any], **facts: Any) -> Entry:
    """Writes a backbone that is in memory to the library, by way of its own disk."""
    with scratch_folder(work, backbone.name, "storing") as folder:
        write_model(backbone.model, backbone.tokenizer, folder)
        return work.library.store_backbone(
            folder, backbone=backbone, taps=backbone.all_taps, made=made, move=True, **facts
        )


def take_vocabulary(
    work: Work,
    source: str,
    to: str,
    data: str,
    config: EmbedConfig,
    eval_tokens: int,
    name: str | None = None,
) -> dict[str, Any]:
    """Gives a backbone the vocabulary of another, stores it as a new one and reports both.

    Args:
        work: library, device, seed and reporter.
        source: the backbone whose vocabulary it is.
        to: the backbone that takes it.
        data: the text to choose and evaluate on.
        config: how rows are made.
        eval_tokens: held-out tokens.
        name: of the new backbone; by default made from both names.

    Raises:
        NotFoundError: one of them is not there.
    """
    from transplant.surgery.embeddings.choose import choose_vocabulary
    from transplant.surgery.embeddings.config import CALIBRATION_TOKENS
    from transplant.surgery.embeddings.vocabulary import with_vocabulary

    check_held(eval_tokens)
    work.check_there(source=source, to=to)
    stored = name or f"{map_name(to).removeprefix('from-')}-in-{map_name(source)[5:]}-tokens"
    claim_core(work, stored, weights_bytes(work, to))
    donor, target = work.backbone(source), work.backbone(to)
    spelled, origin = stored_map(work, target, donor)
    chosen_on = config.calibration_tokens or CALIBRATION_TOKENS
    splits = read_as_needed(work, data, 8_000_000, calibration=chosen_on, evaluation=eval_tokens)
    ppl = {"before": nats_per_character(target, splits.eval, eval_tokens)}
    with target.frozen():
        with work.reporter.progress("making rows") as progress:
            made = choose_vocabulary(
                stored, target, donor, spelled, config, splits.calibration, progress
            )
        ppl[made.method] = nats_per_character(made.backbone, splits.eval, eval_tokens)
        if made.method != "mean":
            control = with_vocabulary(stored, target, donor, spelled, config.by("mean"))
            ppl["mean"] = nats_per_character(control, splits.eval, eval_tokens)
    results = {"coverage": spelled.coverage(), "text": ppl, "tried": made.tried}
    facts = work.made(corpus=data, split=splits.fingerprint, token_map=origin, method=made.method)
    parents = {"body": target.weights_sha256, "vocabulary": donor.weights_sha256}
    entry = store_backbone(work, made.backbone, facts, results=results, parents=parents)
    return {
        "name": stored, "from": source, "to": to, "method": made.method, "token_map": origin,
        **results, "split": splits.fingerprint, "path": str(entry.path),
    }  # fmt: skip
