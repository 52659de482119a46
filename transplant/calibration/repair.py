"""Repair after an update: the interface is solved for again against the old z, without a gradient.

Same tokenizer, same positions: the rows of the backbone before and after pair one to one. Each fit
is a ridge regression around what the interface already does: where nothing has moved, nothing
changes, however few the rows.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transplant.activations.moments import CrossMoments
from transplant.alignment.affine import AffineMap
from transplant.alignment.ridge import fit_ridge
from transplant.alignment.tokens import SharedTokens, token_bytes
from transplant.alignment.unembedding import fit_output_map
from transplant.backbones.view import Backbone
from transplant.calibration.config import RepairConfig
from transplant.errors import InputError
from transplant.modules.hosted import Correction
from transplant.text.windows import Window, batches


@dataclass(frozen=True)
class Repaired:
    """The module behind a repaired interface, and how far off z was before and after."""

    correction: Correction
    z_off_before: float
    """Mean squared distance of z to the old z, on the rows of the fit."""
    z_off_after: float
    """The same through the repaired interface."""
    rows: int
    """Positions that it was fitted on."""


@torch.no_grad()
def repair(
    before: Backbone,
    after: Backbone,
    correction: Correction,
    windows: Sequence[Window],
    config: RepairConfig,
    counts: Mapping[str, int] | None = None,
) -> Repaired:
    """Fits `P_in` to the old `t P_in` and `P_out` to the old correction, as the new head sees it.

    Args:
        before: the backbone that the interface was made for.
        after: the same after an update: same widths, same tokenizer.
        correction: interface and module; copied, the module bit for bit.
        windows: shared text; none of the domain's is needed.
        config: the ridge strengths.
        counts: the domain's token counts, which travel with the module: the map between the two
            heads is fitted for these tokens. Without them every token counts alike.

    Raises:
        InputError: backbones of other widths or tokenizers, or a module that reads windows.
    """
    check_repairable(before, after, correction)
    old = copy.deepcopy(correction).eval()
    new = copy.deepcopy(old)
    pairs = _read_both(before, after, old, windows)
    moments = CrossMoments(old.interface.proj_in.in_features, old.interface.d_abi)
    for ours, theirs in pairs:
        wanted, found = (old.interface.proj_in(t) for t in (ours, theirs))
        moments.update(theirs, wanted - found)
    _add(new.interface.proj_in, fit_ridge(moments, config.ridge))
    if config.output:
        _map_output(before, after, new.interface.proj_out, config, counts or {})
        _refit_output(old, new, pairs, config)

    def off(interface_of: Correction) -> float:
        total = sum(
            float(nn.functional.mse_loss(_z(interface_of, theirs), _z(old, ours)) * len(ours))
            for ours, theirs in pairs
        )
        return total / moments.count

    return Repaired(new.requires_grad_(False), off(old), off(new), moments.count)


def check_repairable(before: Backbone, after: Backbone, correction: Correction) -> None:
    """Refuses what does not pair one to one.

    Raises:
        InputError: backbones of other widths or tokenizers, or a module that reads windows.
    """
    for what, ours, theirs in (
        ("d_model", before.d_model, after.d_model),
        ("layers", before.n_layers, after.n_layers),
        ("tokenizer", before.tokenizer_sha256[:12], after.tokenizer_sha256[:12]),
    ):
        if ours != theirs:
            raise InputError(
                f"an update does not change {what}", expected=ours, found=theirs,
                hint="abi transfer moves a module to another backbone",
            )  # fmt: skip
    if correction.module.reads_windows:
        raise InputError(
            "a module that reads whole windows cannot be repaired position by position",
            expected="one trained with an interface",
        )


def map_heads(before: Tensor, after: Tensor, weights: Tensor, strength: float) -> Tensor:
    """M [d_model, d_model] such that U_after (c M)' ~ U_before c', around the identity.

    Args:
        before: U [vocab, d_model] of the backbone as it was.
        after: U [vocab, d_model] after the update.
        weights: of the tokens [vocab], float64, summing to 1.
        strength: ridge, relative to the mean diagonal.
    """
    everything = torch.arange(len(before))
    same = SharedTokens(everything, everything, weights, coverage=1.0)
    change = fit_output_map(before.float() - after.float(), after.float(), same, strength)
    return torch.eye(len(change)) + change


def _map_output(
    before: Backbone,
    after: Backbone,
    proj_out: nn.Linear,
    config: RepairConfig,
    counts: Mapping[str, int],
) -> None:
    """P_out <- P_out M, where the head has changed."""
    heads = before.unembedding.cpu(), after.unembedding.cpu()
    if torch.equal(*heads):
        return
    matrix = map_heads(*heads, _weights(before, counts), config.output_ridge)
    AffineMap(proj_out.weight.T @ matrix, proj_out.bias @ matrix).write_to(proj_out)


def _refit_output(
    old: Correction,
    new: Correction,
    pairs: Sequence[tuple[Tensor, Tensor]],
    config: RepairConfig,
) -> None:
    """The ridge from the module's new outputs to what is still missing of the old correction."""
    proj_out = new.interface.proj_out
    moments = CrossMoments(old.interface.d_abi, old.interface.d_model)
    for ours, theirs in pairs:
        wanted, found = (c.module.y(_z(c, t)) for c, t in ((old, ours), (new, theirs)))
        moments.update(found, proj_out(wanted) - proj_out(found))
    _add(proj_out, fit_ridge(moments, config.ridge))


def _weights(backbone: Backbone, counts: Mapping[str, int]) -> Tensor:
    """How much each token of the vocabulary counts: float64 [vocab], summing to 1."""
    names = token_bytes(backbone.tokenizer) if counts else {}
    weights = torch.zeros(backbone.vocab_size, dtype=torch.float64)
    for number, raw in names.items():
        weights[number] = counts.get(raw.hex(), 0)
    if weights.sum() == 0:
        weights += 1.0
    return weights / weights.sum()


def _read_both(
    before: Backbone, after: Backbone, correction: Correction, windows: Sequence[Window]
) -> list[tuple[Tensor, Tensor]]:
    """t [rows, n_taps * d_model] before and after, batch by batch, in float32 on the CPU."""
    correction.cpu()
    pairs = []
    for batch in batches(windows):
        text = [windows[index] for index in batch]
        states = [side.read(text, correction.taps).to("cpu") for side in (before, after)]
        ours, theirs = (
            correction.interface.gather({tap: h.float() for tap, h in side.taps.items()})
            for side in states
        )
        pairs.append((ours, theirs))
    return pairs


def _z(correction: Correction, t: Tensor) -> Tensor:
    return correction.interface.abi_norm(correction.interface.proj_in(t))


def _add(linear: nn.Linear, change: AffineMap) -> None:
    linear.weight.add_(change.weight.T)
    linear.bias.add_(change.bias)
