"""Text of a training run: windows of a corpus, or the rows that were captured of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from transplant.errors import InputError
from transplant.ranks import current
from transplant.training.config import TrainConfig
from transplant.workflows.corpus import read_splits, windows_of
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.activations.reader import Activations
    from transplant.backbones.view import Backbone
    from transplant.evaluation.likelihood import Likelihood
    from transplant.modules.correction import Correction
    from transplant.text.documents import Document
    from transplant.text.windows import Window
    from transplant.training.row_sources import RowSource

Score = Callable[["Correction"], "dict[str, Likelihood]"]


@dataclass(frozen=True)
class TrainText:
    """The text of a run, on its three sides."""

    corpus: str
    split: str
    """Fingerprint of the three sides."""
    train: Sequence[Window] | RowSource
    calibration: Sequence[Window] | RowSource
    token_counts: dict[str, int]
    """Of the training side."""
    score: Score
    """The held-out likelihood of the raw backbone and of a correction."""
    held_out: Sequence[Document] = ()
    """The documents of the held-out side; of a captured file none."""
    used: Sequence[Document] = ()
    """Those that are trained on or chosen by."""


def text_of_corpus(
    work: Work, backbone: Backbone, corpus: str, config: TrainConfig, eval_tokens: int
) -> TrainText:
    """Windows of a corpus, which the backbone has still to read."""
    from transplant.alignment.tokens import count_tokens
    from transplant.evaluation.likelihood import score_documents
    from transplant.text.limits import stream_chars

    reach = stream_chars(
        train=config.train_tokens, calibration=config.calibration_tokens, evaluation=eval_tokens
    )
    splits = read_splits(work, corpus, stream_chars=reach)
    seed = config.window_seed
    train = windows_of(backbone, splits.train, config.window, config.train_tokens, seed=seed)

    def score(correction: Correction) -> dict[str, Likelihood]:
        windows = windows_of(backbone, splits.eval, config.window, eval_tokens)
        return score_documents(backbone, windows, {"raw": None, "native": correction})

    return TrainText(
        corpus=corpus,
        split=splits.fingerprint,
        train=train,
        calibration=windows_of(
            backbone, splits.calibration, config.window, config.calibration_tokens, seed=seed
        ),
        token_counts=count_tokens((i for window in train for i in window.ids), backbone.tokenizer),
        score=score,
        held_out=splits.eval,
        used=(*splits.train, *splits.calibration),
    )


@contextmanager
def text_of_file(
    work: Work,
    backbone: Backbone,
    path: Path,
    taps: Sequence[int],
    config: TrainConfig,
    eval_tokens: int,
) -> Iterator[TrainText]:
    """The rows of a captured file; the backbone does not run, its head alone does.

    Raises:
        InputError: rows of another backbone or tokenizer, pooled ones, windows of another length,
            or a tap that was not captured.
    """
    from transplant.activations.splits import fingerprint_of, windows_by_side
    from transplant.alignment.tokens import count_tokens
    from transplant.evaluation.likelihood import score_rows
    from transplant.training.file_rows import file_rows

    with work.activations(path) as acts:
        acts.check_made_by(backbone, backbone.name)
        _check_length(acts, min(config.window, backbone.context))
        sides = windows_by_side(acts)
        train, calibration, evaluated = (
            file_rows(backbone, acts, sides[side], taps, tokens, seed=seed)
            for side, tokens, seed in (
                ("train", config.train_tokens, config.window_seed),
                ("calibration", config.calibration_tokens, config.window_seed),
                ("eval", eval_tokens, None),
            )
        )

        def score(correction: Correction) -> dict[str, Likelihood]:
            import torch

            owners = torch.tensor([int(acts.document[window]) for window in evaluated.windows])
            turns = current().turns(len(owners))
            blocks = ((evaluated.rows([n]), owners[n : n + 1]) for n in turns)
            return score_rows(backbone, blocks, {"raw": None, "native": correction})

        yield TrainText(
            corpus=acts.header.corpus,
            split=fingerprint_of(acts, sides),
            train=train,
            calibration=calibration,
            token_counts=count_tokens(_ids(acts, train.windows), backbone.tokenizer),
            score=score,
        )


def _check_length(acts: Activations, length: int) -> None:
    header = acts.header
    if header.window != length:
        raise InputError(
            f"{acts.path} holds other windows",
            expected=f"`window={length}`",
            found=f"`window={header.window}`",
            hint=f"`capture(backbone={header.backbone!r}, data={header.corpus!r}, "
            f"window={length}, out='FILE')`",
        )


def _ids(acts: Activations, windows: Sequence[int]) -> Iterator[int]:
    for window in windows:
        rows = acts.rows_of_window(window)
        yield from acts.tokens(rows.start, rows.stop).ids.tolist()
