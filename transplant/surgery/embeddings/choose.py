"""The method that costs a backbone least, found on calibration text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transplant.alignment.token_map import TokenMap
from transplant.backbones.view import Backbone
from transplant.evaluation.likelihood import score_documents
from transplant.progress import Progress, unseen
from transplant.surgery.embeddings.config import BEST, CALIBRATION_TOKENS, METHODS, EmbedConfig
from transplant.surgery.embeddings.vocabulary import with_vocabulary
from transplant.text.documents import Document
from transplant.text.spread import spread_windows
from transplant.text.windows import predicted_characters

WINDOW = 512


@dataclass(frozen=True)
class Chosen:
    """A backbone with another's vocabulary, and how its rows were chosen."""

    backbone: Backbone
    method: str
    tried: dict[str, float]
    """Nats per character of the calibration text, by method; empty where one was asked for."""


def choose_vocabulary(
    name: str,
    target: Backbone,
    source: Backbone,
    spelled: TokenMap,
    config: EmbedConfig,
    calibration: Sequence[Document],
    progress: Progress = unseen,
) -> Chosen:
    """Makes the backbone by the method of `config`; for `best`, by each, and keeps the best.

    All of them read the same windows. Of equals, the first in METHODS is kept.

    Args:
        name: of the new backbone.
        target: whose body it is; it stays as it was.
        source: whose tokenizer it takes.
        spelled: each token of the source in tokens of the target (`spelled_in`).
        config: how rows are made.
        calibration: text to choose on; never what is reported on.
        progress: told of the rows that are made one by one.

    Raises:
        CorpusError: no calibration text is long enough to choose on.
        InputError: as of `with_vocabulary`.
    """
    if config.method != BEST:
        made = with_vocabulary(name, target, source, spelled, config, progress)
        return Chosen(made, config.method, {})
    length = min(WINDOW, target.context)
    tokens = config.calibration_tokens or CALIBRATION_TOKENS
    windows = spread_windows(calibration, source.tokenizer, length, tokens)
    characters = predicted_characters(windows)
    kept, tried = None, {}
    for method in METHODS:
        own = config.by(method)
        made = with_vocabulary(name, target, source, spelled, own, progress)
        found = score_documents(made, windows, {"it": None})["it"]
        tried[method] = float(found.nats.sum()) / characters
        if kept is None or tried[method] < tried[kept.method]:
            kept = Chosen(made, method, tried)
    assert kept is not None
    return kept
