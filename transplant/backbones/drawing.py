"""Drawing the next token of a large vocabulary with one random number a sequence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

GROUP = 256  # tokens that are first drawn together


class Draws:
    """A logits processor of `generate` that draws each next token itself.

    `torch.multinomial` draws a random number for each token of the vocabulary: of 49,152 that takes
    longer than the body of SmolLM2-135M. Here it is one for each sequence, at which the summed
    probabilities are cut, first of groups, then of the tokens in one. Only the token that was drawn
    is left, so `do_sample` has to be off.

    Args:
        never: tokens that are not drawn.
    """

    def __init__(self, never: Sequence[int]) -> None:
        self._never = torch.tensor(never, dtype=torch.long)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002
        """Logits [batch, vocab] with the drawn token at infinity; they are changed in place."""
        scores[:, self._never.to(scores.device)] = -torch.inf
        return scores.scatter_(1, draw(scores, torch.rand_like(scores[:, :1])), torch.inf)


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """The tokens [rows, 1] at which the cumulated probabilities pass some numbers.

    Args:
        logits: [rows, vocab], -inf for what is never drawn.
        uniform: from 0 to below 1 [rows, 1].
    """
    masses = (logits - logits.amax(1, keepdim=True)).exp_()
    groups = functional.pad(masses, (0, -masses.shape[1] % GROUP)).unflatten(1, (-1, GROUP))
    sums = groups.sum(2).double()  # [rows, groups]
    group, left = _passed(sums, uniform.double() * sums.sum(1, keepdim=True))
    within = groups.gather(1, group[:, :, None].expand(-1, -1, GROUP))[:, 0].double()
    share = (left / sums.gather(1, group)) * within.sum(1, keepdim=True)
    return group * GROUP + _passed(within, share)[0]


def _passed(masses: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Where the cumulated masses [rows, many] pass a place [rows, 1], and what is left of it."""
    reached = masses.cumsum(1)
    found = torch.searchsorted(reached, place, right=True)
    last = masses.shape[1] - 1 - (masses > 0).flip(1).long().argmax(1, keepdim=True)
    found = torch.minimum(found, last)  # rounding may put a place behind all of them
    begins = reached.gather(1, found) - masses.gather(1, found)
    return found, (place - begins).clamp_min(0)
