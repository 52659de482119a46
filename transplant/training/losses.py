"""Losses of a frozen head, without the logits of all rows, or of all tokens, at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from transplant.backbones.split_head import TOKENS, SplitHead, pick_labels
from transplant.backbones.states import States
from transplant.backbones.token_losses import rows_at_once, token_losses
from transplant.backbones.view import Backbone
from transplant.training.precision import rounded_products

RowLoss = Callable[[Tensor, slice], Tensor]
ROWS = 256  # of a block: its logits stay in the processor's cache for as long as they are needed
WIDE_ROWS = 512  # of a block whose vocabulary is gone through in pieces, which stay there, too
COPIES = 4  # of a block's logits that a loss may hold at a time, with their gradients


def cross_entropy(
    backbone: Backbone,
    states: States,
    correction: nn.Module,
    matmul_type: torch.dtype = torch.float32,
) -> Tensor:
    """Mean next-token loss in nats over the rows of `states`.

    Args:
        backbone: the frozen language model.
        states: labelled rows.
        correction: an interface and a module.
        matmul_type: in which both of these and the head multiply matrices where there is a
            gradient; a loss without one is always exact.
    """
    device, learns = states.h_last.device, torch.is_grad_enabled()
    with rounded_products(device, matmul_type, learns=learns):
        change = correction(states.taps, states.windows)
    return next_token_loss(backbone, states.h_last + change, states.labels, matmul_type)


def next_token_loss(
    backbone: Backbone, hidden: Tensor, labels: Tensor, head_type: torch.dtype = torch.float32
) -> Tensor:
    """The same for hidden states [rows, d_model] that are corrected already, and their labels.

    Args:
        backbone: whose head it is.
        hidden: [rows, d_model].
        labels: [rows].
        head_type: in which a linear head of float32 is multiplied where there is a gradient; a
            loss without one is always exact.
    """
    head = backbone.split_head
    if head is None:
        return through_head(backbone, hidden, _against(labels))
    loss: Tensor = _SplitHeadLoss.apply(hidden, backbone, head, labels, head_type)  # type: ignore[assignment]
    return loss


def _against(labels: Tensor) -> RowLoss:
    return lambda logits, rows: functional.cross_entropy(logits, labels[rows], reduction="none")


def through_head(
    backbone: Backbone,
    hidden: Tensor,
    loss_of: RowLoss,
    head_type: torch.dtype = torch.float32,
) -> Tensor:
    """The mean over rows of any loss of their logits; no logits are kept for the backward pass.

    Args:
        backbone: whose head it is.
        hidden: [rows, d_model], corrected.
        loss_of: the losses [block] of the logits [block, vocab] of a block of rows, and the block.
        head_type: in which it and the head multiply matrices where there is a gradient; a loss
            without one is always exact.
    """
    loss: Tensor = _HeadLoss.apply(hidden, backbone, loss_of, head_type)  # type: ignore[assignment]
    return loss


class _HeadLoss(torch.autograd.Function):
    """A loss behind a frozen head; its gradient is had in the same pass, block by block."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        backbone: Backbone,
        loss_of: RowLoss,
        head_type: torch.dtype,
    ) -> Tensor:
        """The mean loss over hidden [rows, d_model]."""
        learns = ctx.needs_input_grad[0]
        total = torch.zeros((), dtype=torch.float64, device=hidden.device)
        gradient = torch.empty_like(hidden) if learns else None
        size = min(ROWS, rows_at_once(backbone, COPIES))
        for start in range(0, len(hidden), size):
            block = slice(start, min(start + size, len(hidden)))
            rows = hidden[block].detach().requires_grad_(learns)
            with (
                torch.set_grad_enabled(learns),
                rounded_products(hidden.device, head_type, learns=learns),
            ):
                loss = loss_of(backbone.head(rows).float(), block).sum()
            total += loss.detach()
            if gradient is not None:
                gradient[block] = torch.autograd.grad(loss, rows)[0]
        if gradient is not None:
            ctx.save_for_backward(gradient.div_(len(hidden)))
        return (total / len(hidden)).float()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:
        """The gradient of the hidden states; nothing else has one."""
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0].to(gradient.dtype), None, None, None


class _SplitHeadLoss(torch.autograd.Function):
    """Cross-entropy behind a head that can be split, whose gradient is had in the same pass.

    The head does not learn, so all that is kept for the backward pass is the gradient
    `softmax(logits) @ weight - weight[label]` [rows, d_model], block by block.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        backbone: Backbone,
        head: SplitHead,
        labels: Tensor,
        head_type: torch.dtype,
    ) -> Tensor:
        """The mean loss over hidden [rows, d_model], with labels [rows]."""
        if not ctx.needs_input_grad[0]:
            return token_losses(backbone, hidden, labels).double().mean().float()
        dtype = head_type if head.weight.dtype == torch.float32 else head.weight.dtype
        if head.vocab <= TOKENS and head.is_linear:
            gradient, losses = _by_rows(hidden, head, labels, dtype)
        else:
            gradient, losses = _by_pieces(hidden, head, labels, dtype)
        ctx.save_for_backward(gradient.div_(len(hidden)))
        return losses.mean()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None, None]:
        """The gradient of the hidden states; the head has none."""
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0].to(gradient.dtype), None, None, None, None


def _by_rows(
    hidden: Tensor, head: SplitHead, labels: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Gradients [rows, d_model] and losses [rows], all tokens at once.

    A loss is 87 nats at most: probabilities spare a pass over the logits.
    """
    gradient = torch.empty_like(hidden)
    of_label = torch.empty(labels.shape, device=hidden.device)
    softmax_type = None if head.weight.dtype == torch.float32 else torch.float32
    factor = head.weight.to(dtype)
    bias = None if head.bias is None else head.bias.to(dtype)
    for start in range(0, len(hidden), ROWS):
        block = slice(start, start + ROWS)
        logits = functional.linear(hidden[block].to(dtype), factor, bias)
        probabilities = torch.softmax(logits, 1, dtype=softmax_type)  # [block, vocab]
        of_label[block] = probabilities.gather(1, labels[block, None]).squeeze(1)
        gradient[block] = probabilities.to(dtype) @ factor
    gradient -= head.weight[labels]
    return gradient, -of_label.clamp_min(torch.finfo(torch.float32).tiny).log()


def _by_pieces(
    hidden: Tensor, head: SplitHead, labels: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The same, a piece of the vocabulary at a time."""
    gradient = torch.empty_like(hidden)
    losses = torch.empty(labels.shape, device=hidden.device)
    for start in range(0, len(hidden), WIDE_ROWS):
        block = slice(start, start + WIDE_ROWS)
        found = _online(hidden[block], head, labels[block], dtype)
        gradient[block], losses[block] = found
    return gradient, losses


def _online(
    hidden: Tensor, head: SplitHead, labels: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Gradients and losses of one block, in one pass over the vocabulary.

    `sum exp(logits)` and `exp(logits) @ weight` grow piece by piece, relative to the largest logit
    so far (Milakov and Gimelshein, "Online normalizer calculation for softmax", arXiv 1805.02867):
    the matrix products are those of the head and its gradient, and none is done twice.
    """
    wide = torch.promote_types(torch.float32, dtype)
    largest = torch.full((len(hidden), 1), -torch.inf, dtype=wide, device=hidden.device)
    total, picked = torch.zeros_like(largest), torch.zeros_like(largest[:, 0])
    pulled = torch.zeros(hidden.shape, dtype=wide, device=hidden.device)
    rows = hidden.to(dtype)
    for tokens in head.pieces():
        factor = head.weight[tokens].to(dtype)
        logits = head.logits(rows, tokens, factor).to(wide)  # [block, tokens]
        pick_labels(picked, logits, labels, tokens)
        before, largest = largest, torch.maximum(largest, logits.amax(1, keepdim=True))
        shrunk = (before - largest).exp_()
        slope = None if head.soft_cap is None else 1 - (logits / head.soft_cap).square_()
        weights = logits.sub_(largest).exp_()
        total.mul_(shrunk).add_(weights.sum(1, keepdim=True))
        if slope is not None:
            weights.mul_(slope)
        pulled.mul_(shrunk).add_(weights.to(dtype) @ factor)
    of_label = head.weight[labels].to(wide)
    if head.soft_cap is not None:
        of_label *= (1 - (picked / head.soft_cap).square())[:, None]
    gradient = pulled.div_(total).sub_(of_label)
    return gradient.to(hidden.dtype), (largest + total.log_())[:, 0] - picked
