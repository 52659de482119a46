"""Rows of an embedding table for tokens that it does not have.

The tokens are those of a source vocabulary; the table is the target's. Tokens that both have (the
same bytes, or the same role) keep the target's own rows. The others are made by one of METHODS:

    omp         the source's row as a combination of rows of shared tokens; the same combination
                of the target's rows (arXiv:2506.06607), both as differences from their mean
    bridge      the source's row, through a ridge fitted on shared tokens: widths may differ
    decompose   the mean of the target's rows that spell the token together
    mean        the mean row: what the others are compared with
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.activations.moments import CrossMoments
from transplant.alignment.ridge import fit_ridge
from transplant.alignment.token_map import TokenMap
from transplant.errors import InputError, ShapeError
from transplant.progress import Progress, unseen
from transplant.surgery.embeddings.config import ATOMS, METHODS, EmbedConfig
from transplant.surgery.embeddings.pursuit import pursue


@dataclass(frozen=True)
class Tables:
    """One table of each side, and how the source's tokens are spelled in the target's."""

    source: Tensor  # [vocab_source, d_source]
    target: Tensor  # [vocab_target, d_target]
    spelled: TokenMap  # of each token of the source: tokens of the target

    def __post_init__(self) -> None:
        if len(self.spelled) != len(self.source):
            raise ShapeError("a map and its table", expected=len(self.source),
                             found=len(self.spelled))  # fmt: skip

    @property
    def shared(self) -> tuple[Tensor, Tensor]:
        """(rows of the source, rows of the target) of tokens that both have."""
        theirs, ours = self.spelled.pairs()
        return ours, theirs


@torch.no_grad()
def new_table(tables: Tables, config: EmbedConfig, progress: Progress = unseen) -> Tensor:
    """The target's table for the source's vocabulary: [vocab_source, d_target].

    Args:
        tables: of both sides.
        config: how rows are made.
        progress: told of the rows that are made one by one.

    Raises:
        InputError: the two vocabularies share fewer than two tokens, or the method is `best`.
    """
    if config.method not in MAKERS:
        raise InputError(
            f"{config.method} is a choice among methods, made on calibration text",
            expected=f"one of {', '.join(METHODS)}",
            hint="choose_vocabulary makes that choice",
        )
    ours, theirs = tables.shared
    if len(ours) < 2:
        raise InputError("the two vocabularies share too few tokens", expected=2, found=len(ours))
    made = _mean(tables, torch.arange(len(tables.source)))
    made[ours] = tables.target[theirs]
    missing = tables.spelled.of_kind("decomposed", "prefix")
    if len(missing):
        made[missing] = MAKERS[config.method](tables, missing, config, progress).to(made)
    return made


def _omp(tables: Tables, tokens: Tensor, config: EmbedConfig, progress: Progress) -> Tensor:
    # Weights need not add up to one: what all rows of the target have in common (in a tied table
    # nearly a bias of the logits) would be multiplied by their sum, which is arbitrary.
    ours, theirs = tables.shared
    known, own = tables.source[ours].double(), tables.target[theirs].double()
    middle, own_middle = known.mean(0), own.mean(0)
    vectors = tables.source[tokens].double() - middle
    found = pursue(vectors, known - middle, config.atoms or ATOMS, progress)
    return own_middle + found.of(own - own_middle)


def _bridge(tables: Tables, tokens: Tensor, config: EmbedConfig, _: Progress) -> Tensor:
    ours, theirs = tables.shared
    moments = CrossMoments(tables.source.shape[1], tables.target.shape[1])
    moments.update(tables.source[ours], tables.target[theirs])
    return fit_ridge(moments, config.ridge)(tables.source[tokens].float().cpu())


def _decompose(tables: Tables, tokens: Tensor, *_: object) -> Tensor:
    return torch.stack(
        [tables.target[tables.spelled.spelling(token)].mean(0) for token in tokens.tolist()]
    )


def _mean(tables: Tables, tokens: Tensor, *_: object) -> Tensor:
    return tables.target.mean(0).repeat(len(tokens), 1)


MAKERS: dict[str, Callable[[Tables, Tensor, EmbedConfig, Progress], Tensor]] = dict(
    zip(METHODS, (_omp, _bridge, _decompose, _mean), strict=True)
)
