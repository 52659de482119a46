"""Fitting a gate in closed form: where text is the domain's, by z up to there.

A least-squares classifier (for two classes Fisher's discriminant) of the domain's positions against
those of general text, on the running mean of z. Memory and threshold are chosen on the calibration
splits: as much of the gain on the domain as general text allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from transplant.activations.moments import CrossMoments
from transplant.alignment.ridge import fit_ridge
from transplant.backbones.token_losses import token_losses
from transplant.backbones.view import Backbone
from transplant.calibration.config import GateConfig
from transplant.errors import InputError
from transplant.evaluation.from_nats import change_of_perplexity
from transplant.modules.correction import Correction
from transplant.modules.gate import Gate
from transplant.text.windows import Window
from transplant.training.row_sources import states_of


@dataclass(frozen=True)
class GateText:
    """Windows of one kind of text, on two sides of its split."""

    train: Sequence[Window]
    calibration: Sequence[Window]


@dataclass(frozen=True)
class TriedMemory:
    """One memory, with the threshold that suited it best, on the calibration splits."""

    memory: float
    kept: float
    """The share of the module's gain on its domain, in nats, that is left behind the gate."""
    worse: float
    """How much worse general text is with the gated module attached, as a share of perplexity."""
    worse_ungated: float
    """The same without the gate."""


@dataclass(frozen=True)
class FittedGate:
    """The gate with the largest share kept, and all that were tried."""

    gate: Gate
    chosen: TriedMemory
    tried: tuple[TriedMemory, ...]


@dataclass(frozen=True)
class _Rows:
    """Rows of some windows: z [rows, d_abi], and what the module adds to the loss [rows]."""

    z: Tensor
    windows: Tensor
    raw: Tensor
    change: Tensor


@torch.no_grad()
def fit_gate(
    backbone: Backbone,
    correction: Correction,
    domain: GateText,
    general: GateText,
    config: GateConfig,
) -> FittedGate:
    """Fits the gate of a module to its interface's z.

    Args:
        backbone: the frozen language model.
        correction: interface and module; they stay as they are.
        domain: text on which the module should be at work.
        general: text on which it should not.
        config: how to fit.

    Raises:
        InputError: the module brings nothing on the calibration split of its domain.
    """
    fitted = [_read(backbone, correction, side.train) for side in (domain, general)]
    held = [_read(backbone, correction, side.calibration) for side in (domain, general)]
    if held[0].change.mean() >= 0:
        raise InputError(
            "the module brings nothing on its domain: a gate has nothing to keep",
            found=f"{held[0].change.mean():+.4f} nats per token",
        )
    found = [_fit(fitted, held, memory, config) for memory in config.memories]
    best = max(range(len(found)), key=lambda number: found[number][1].kept)
    return FittedGate(*found[best], tried=tuple(tried for _, tried in found))


def _fit(
    fitted: Sequence[_Rows], held: Sequence[_Rows], memory: float, config: GateConfig
) -> tuple[Gate, TriedMemory]:
    """The gate of one memory. A running mean is linear: its classifier is one of z."""
    gate = Gate(fitted[0].z.shape[1], memory).to(fitted[0].z.device)
    moments = CrossMoments(fitted[0].z.shape[1], 1)
    for rows, label in zip(fitted, (1.0, -1.0), strict=True):
        mean = _running_mean(gate, rows.z, rows.windows)
        moments.update(mean, torch.full((len(mean), 1), label))
    classifier = fit_ridge(moments, config.ridge)
    gate.weight.copy_(classifier.weight[:, 0])
    gate.bias.copy_(classifier.bias[0])
    scores = [_running_mean(gate, gate.scores(r.z)[:, None], r.windows)[:, 0] for r in held]
    threshold, tried = _choose_threshold(held, scores, config.most_worse)
    gate.bias.sub_(threshold)
    return gate, TriedMemory(memory, *tried)


def _choose_threshold(
    held: Sequence[_Rows], scores: Sequence[Tensor], most_worse: float
) -> tuple[float, tuple[float, float, float]]:
    """The threshold that keeps most of the gain, and (kept, worse, worse without a gate).

    Shut for good is always allowed: nothing is kept and nothing is worse.
    """
    domain, general = held
    everywhere = change_of_perplexity(float(general.change.mean()))
    best = (float(torch.cat([*scores]).max()), (0.0, 0.0, everywhere))
    for threshold in torch.cat([*scores]).quantile(torch.linspace(0, 1, 201).to(scores[0])):
        opened = [side > threshold for side in scores]
        kept = float(domain.change[opened[0]].sum() / domain.change.sum())
        worse = change_of_perplexity(float(general.change[opened[1]].sum() / len(general.change)))
        if worse <= most_worse and kept > best[1][0]:
            best = float(threshold), (kept, worse, everywhere)
    return best


def _running_mean(gate: Gate, columns: Tensor, windows: Tensor) -> Tensor:
    """The mean of [rows, columns] up to each row of its window, weighted by the gate's memory."""
    counts = torch.unique_consecutive(windows, return_counts=True)[1]
    ones = torch.ones_like(columns[:, :1])
    split = torch.cat([columns, ones], dim=1).split(counts.tolist())
    padded = pad_sequence(list(split), batch_first=True)  # [windows, longest, columns + 1]
    real = torch.arange(padded.shape[1], device=columns.device) < counts[:, None]
    sums = gate.evidence(padded.transpose(1, 2).flatten(0, 1))
    rows = sums.view(len(counts), -1, padded.shape[1]).transpose(1, 2)[real]
    return rows[:, :-1] / rows[:, -1:]


def _read(backbone: Backbone, correction: Correction, windows: Sequence[Window]) -> _Rows:
    correction = correction.to(backbone.device)
    parts: list[tuple[Tensor, ...]] = []
    first = 0
    for states in states_of(backbone, windows, correction.taps):
        taps = {tap: states.taps[tap].float() for tap in correction.taps}
        change = correction(states.taps, states.windows)
        raw, corrected = (
            token_losses(backbone, hidden, states.labels)
            for hidden in (states.h_last, states.h_last + change)
        )
        z = correction.interface.read_in(taps)
        parts.append((z, states.windows + first, raw, corrected - raw))
        first += int(states.windows.max()) + 1
    return _Rows(*(torch.cat(columns) for columns in zip(*parts, strict=True)))
