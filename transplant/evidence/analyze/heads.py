"""Roles of a bank's heads, measured on the activations that they read."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from transplant.errors import TransplantError

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.activations.reader import Activations
    from transplant.analysis.config import AnalysisConfig
    from transplant.analysis.roles import HeadScores
    from transplant.progress import Progress
    from transplant.surgery.bank.attention import Attention
    from transplant.surgery.bank.piece import Bank
    from transplant.workflows.work import Work

SHORTEST = 8  # tokens of a window that roles are measured on


def head_rows(
    work: Work, bank: Bank, acts: Activations, config: AnalysisConfig, progress: Progress
) -> list[dict[str, Any]]:
    """Role, scores and ranks of every head whose block's input was captured.

    Args:
        work: where the backbone is found, for the state at its beginning-of-text token.
        bank: the pieces.
        acts: of the same backbone.
        config: how much is read.
        progress: is told of each block.
    """
    from transplant.surgery.bank.attention import Attention

    found: list[dict[str, Any]] = []
    blocks = {
        int(name.split(".")[1]): piece
        for name, piece in bank.pieces.items()
        if isinstance(piece, Attention)
    }
    taps = {layer: tap for layer in blocks if (tap := _input_tap(acts, layer)) is not None}
    before = _begin_states(work, acts, [*taps])
    for number, (layer, tap) in enumerate(taps.items(), 1):
        scores = _scores(blocks[layer], acts, tap, before.get(layer), config)
        found.extend(_rows(layer, blocks[layer], scores, work.seed))
        progress(number, len(taps), f"heads.{layer}")
    return found


def _input_tap(acts: Activations, layer: int) -> str | None:
    """The tap that holds what the heads of a block read."""
    names = (str(layer), f"block.{layer}.attn.in")
    return next((name for name in names if name in acts.header.taps), None)


def _begin_states(work: Work, acts: Activations, layers: list[int]) -> dict[int, Tensor]:
    """What each block reads at a beginning-of-text token [width], which no file has rows of."""
    import torch

    try:
        backbone = work.backbone(acts.header.backbone)
        acts.check_made_by(backbone, backbone.name)
    except TransplantError as error:
        work.reporter.warn(
            f"roles are measured without a beginning-of-text token, if {acts.header.backbone} "
            f"has one: {error}"
        )
        return {}
    if not backbone.skipped:
        return {}
    begin = torch.tensor([[backbone.tokenizer.bos_token_id]], device=backbone.device)
    with torch.no_grad():
        output = backbone.reader()(input_ids=begin, use_cache=False, output_hidden_states=True)
    return {layer: output.hidden_states[layer][0, 0].float().cpu() for layer in layers}


def _scores(
    heads: Attention, acts: Activations, tap: str, before: Tensor | None, config: AnalysisConfig
) -> HeadScores:
    import torch

    from transplant.analysis.roles import score_heads
    from transplant.backbones.layercake.blocks import make_span

    lengths = torch.from_numpy(acts.first_row[1:] - acts.first_row[:-1])
    windows = torch.nonzero(lengths >= min(SHORTEST, int(lengths.max()))).flatten()
    windows = windows[:: max(1, len(windows) // config.windows)][: config.windows].tolist()
    weights: list[Tensor] = []
    tokens: list[Tensor] = []
    for window in windows:
        start = int(acts.first_row[window])
        stop = start + min(int(lengths[window]), config.window_tokens)
        x = acts.tap(tap, start, stop)[None]
        x = x.to(heads.query.weight.dtype)
        if before is not None:
            x = torch.cat([before.to(x)[None, None], x], dim=1)
        with torch.no_grad():
            weights.append(heads.weights(x, make_span(x.shape[1], x.device))[0])
        tokens.append(acts.tokens(start, stop).ids)
    documents = [int(acts.document[window]) for window in windows]
    return score_heads(weights, tokens, documents, first=int(before is not None))


def _rows(layer: int, heads: Attention, scores: HeadScores, seed: int) -> list[dict[str, Any]]:
    from transplant.analysis.roles import ROLES
    from transplant.evaluation.intervals import ratio_interval

    means, chance = scores.mean(), scores.by_chance()
    found: list[dict[str, Any]] = []
    for head, role in enumerate(scores.roles()):
        row: dict[str, Any] = {"layer": layer, "head": head, "role": role, "interval": None}
        row["scores"] = {name: float(means[n, head]) for n, name in enumerate(ROLES)}
        row["chance"] = {name: float(chance[n]) for n, name in enumerate(ROLES)}
        if role is not None:
            number = ROLES.index(role)
            there = scores.positions[number] > 0
            row["interval"] = ratio_interval(
                scores.scores[number, head][there], scores.positions[number][there], seed=seed
            ).as_list()
        found.append(row | _circuits(heads, head))
    return found


def _circuits(heads: Attention, head: int) -> dict[str, Any]:
    """Spectra of what a head compares (query times key) and of what it writes (value times out)."""
    from transplant.analysis.spectra import map_spectrum

    recipe = heads.recipe
    dim, group = recipe.head_dim, head // (recipe.heads // recipe.kv_heads)
    own, shared = (slice(n * dim, (n + 1) * dim) for n in (head, group))
    compared = map_spectrum(heads.query.weight[own].T, heads.key.weight[shared])
    written = map_spectrum(heads.value.weight[shared].T, heads.out.weight[:, own].T)
    return {
        "compares": {**dataclasses.asdict(compared), "largest": compared.largest[:4]},
        "writes": {**dataclasses.asdict(written), "largest": written.largest[:4]},
    }
