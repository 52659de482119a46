"""What a training run reads: windows of a corpus, or the rows that were captured of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commands.corpora import read_splits, windows_of
from commands.session import Session
from transplant.errors import InputError
from transplant.training.config import TrainConfig

if TYPE_CHECKING:
    from transplant.activations.reader import Activations
    from transplant.backbones.view import Backbone
    from transplant.evaluation.likelihood import Likelihood
    from transplant.modules.hosted import Correction
    from transplant.text.windows import Window
    from transplant.training.rows import RowSource

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


def text_of_corpus(
    session: Session, backbone: Backbone, corpus: str, config: TrainConfig, eval_tokens: int
) -> TrainText:
    """Windows of a corpus, which the backbone has still to read."""
    from transplant.alignment.tokens import count_tokens
    from transplant.evaluation.likelihood import score_documents

    splits = read_splits(session, corpus)
    train = windows_of(backbone, splits.train, config.window, config.train_tokens)

    def score(correction: Correction) -> dict[str, Likelihood]:
        windows = windows_of(backbone, splits.eval, config.window, eval_tokens)
        return score_documents(backbone, windows, {"raw": None, "native": correction})

    return TrainText(
        corpus=corpus,
        split=splits.fingerprint,
        train=train,
        calibration=windows_of(
            backbone, splits.calibration, config.window, config.calibration_tokens
        ),
        token_counts=count_tokens((i for window in train for i in window.ids), backbone.tokenizer),
        score=score,
    )


@contextmanager
def text_of_file(
    backbone: Backbone, path: Path, taps: Sequence[int], config: TrainConfig, eval_tokens: int
) -> Iterator[TrainText]:
    """The rows of a captured file; the backbone does not run, its head alone does.

    Raises:
        InputError: rows of another backbone or tokenizer, pooled ones, windows of another length,
            or a tap that was not captured.
    """
    from transplant.activations.reader import Activations
    from transplant.alignment.tokens import count_tokens
    from transplant.evaluation.likelihood import score_rows
    from transplant.text.splits import fingerprint_sides
    from transplant.training.rows import FileRows

    with Activations.open(path) as acts:
        _check(acts, backbone, path, taps, config)
        sides = _windows_by_side(acts)
        train = _spread(acts, sides["train"], config.train_tokens)
        held = _spread(acts, sides["calibration"], config.calibration_tokens)
        evaluated = _spread(acts, sides["eval"], eval_tokens)

        def source(windows: Sequence[int]) -> FileRows:
            return FileRows(acts, windows, taps, backbone.n_layers, backbone.device)

        def score(correction: Correction) -> dict[str, Likelihood]:
            import torch

            rows = source(evaluated)
            owners = torch.tensor([int(acts.document[window]) for window in evaluated])
            blocks = ((rows.rows([n]), owners[n : n + 1]) for n in range(len(evaluated)))
            return score_rows(backbone, blocks, {"raw": None, "native": correction})

        yield TrainText(
            corpus=acts.header.corpus,
            split=fingerprint_sides(
                *([acts.digests[d] for d in _documents(acts, side)] for side in sides.values())
            ),
            train=source(train),
            calibration=source(held),
            token_counts=count_tokens(_ids(acts, train), backbone.tokenizer),
            score=score,
        )


def _check(
    acts: Activations, backbone: Backbone, path: Path, taps: Sequence[int], config: TrainConfig
) -> None:
    header = acts.header
    acts.check_made_by(backbone.weights_sha256, backbone.tokenizer_sha256, backbone.name)
    again = f"abi capture --backbone {backbone.name} --data {header.corpus}"
    for what, expected, found, option in (
        ("rows", "none", header.pool, "--pool none"),
        (
            "windows",
            min(config.window, backbone.context),
            header.window,
            f"--window {config.window}",
        ),
    ):
        if expected != found:
            raise InputError(
                f"{path} holds other {what}", expected=expected, found=found,
                hint=f"{again} {option} --out FILE",
            )  # fmt: skip
    missing = sorted({*map(str, taps), str(backbone.n_layers)} - set(header.taps))
    if missing:
        raise InputError(
            f"{path} lacks layers that training reads: {', '.join(missing)}",
            found=list(header.taps),
            hint=f"{again} --taps all --out FILE",
        )


def _windows_by_side(acts: Activations) -> dict[str, list[int]]:
    from transplant.text.splits import split_of_digest

    sides: dict[str, list[int]] = {"train": [], "calibration": [], "eval": []}
    for window in range(acts.windows):
        sides[split_of_digest(acts.digests[int(acts.document[window])])].append(window)
    empty = [name for name, windows in sides.items() if not windows]
    if empty:
        raise InputError(
            f"too few documents to hold some out: the {' and '.join(empty)} split is empty",
            expected="about 30 documents or more",
            found=acts.documents,
        )
    return sides


def _spread(acts: Activations, windows: Sequence[int], max_tokens: int) -> list[int]:
    """As `spread_windows`, by the numbers of the windows."""
    from transplant.text.windows import take_in_turns

    documents = [int(acts.document[window]) for window in windows]
    sizes = [len(acts.rows_of_window(window)) for window in windows]
    return [windows[index] for index in take_in_turns(documents, sizes, max_tokens)]


def _documents(acts: Activations, windows: Sequence[int]) -> list[int]:
    return sorted({int(acts.document[window]) for window in windows})


def _ids(acts: Activations, windows: Sequence[int]) -> Iterator[int]:
    for window in windows:
        rows = acts.rows_of_window(window)
        yield from acts.tokens(rows.start, rows.stop).ids.tolist()
