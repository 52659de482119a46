"""The head of a backbone before and after an update, and the output map that follows it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from transplant.alignment.affine import AffineMap
from transplant.alignment.tokens import SharedTokens, token_bytes
from transplant.alignment.unembedding import fit_output_map
from transplant.backbones.view import Backbone


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


@torch.no_grad()
def map_output(
    before: Backbone,
    after: Backbone,
    proj_out: nn.Linear,
    strength: float,
    counts: Mapping[str, int],
) -> None:
    """P_out <- P_out M, where the head has changed; tokens of the domain's `counts` weigh more."""
    heads = before.unembedding.cpu(), after.unembedding.cpu()
    if torch.equal(*heads):
        return
    matrix = map_heads(*heads, _weights(before, counts), strength)
    AffineMap(proj_out.weight.T @ matrix, proj_out.bias @ matrix).write_to(proj_out)


def _weights(backbone: Backbone, counts: Mapping[str, int]) -> Tensor:
    """How much each token of the vocabulary counts: float64 [vocab], summing to 1."""
    names = token_bytes(backbone.tokenizer) if counts else {}
    weights = torch.zeros(backbone.vocab_size, dtype=torch.float64)
    for number, raw in names.items():
        weights[number] = counts.get(raw.hex(), 0)
    if weights.sum() == 0:
        weights += 1.0
    return weights / weights.sum()
