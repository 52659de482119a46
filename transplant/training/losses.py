"""Losses of a frozen head, without the logits of all rows at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from transplant.backbones.view import Backbone, States
from transplant.training.precision import rounded_products

RowLoss = Callable[[Tensor, slice], Tensor]
ROWS = 256  # of a block: its logits stay in the processor's cache for as long as they are needed


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
    head = backbone.linear_head
    if head is None:
        return functional.cross_entropy(backbone.head(hidden).float(), labels)
    loss: Tensor = _LinearHeadLoss.apply(hidden, *head, labels, head_type)  # type: ignore[assignment]
    return loss


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
    loss: Tensor = _HeadLoss.apply(hidden, backbone.head, loss_of, head_type)  # type: ignore[assignment]
    return loss


class _HeadLoss(torch.autograd.Function):
    """A loss behind a frozen head; its gradient is had in the same pass, block by block."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        head: Callable[[Tensor], Tensor],
        loss_of: RowLoss,
        head_type: torch.dtype,
    ) -> Tensor:
        """The mean loss over hidden [rows, d_model]."""
        learns = ctx.needs_input_grad[0]
        total = torch.zeros((), dtype=torch.float64, device=hidden.device)
        gradient = torch.empty_like(hidden) if learns else None
        for start in range(0, len(hidden), ROWS):
            block = slice(start, min(start + ROWS, len(hidden)))
            rows = hidden[block].detach().requires_grad_(learns)
            with (
                torch.set_grad_enabled(learns),
                rounded_products(hidden.device, head_type, learns=learns),
            ):
                loss = loss_of(head(rows).float(), block).sum()
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


class _LinearHeadLoss(torch.autograd.Function):
    """Cross-entropy of `hidden @ weight.T + bias`, whose gradient is had in the same pass.

    The head does not learn, so all that is kept for the backward pass is the gradient
    `softmax(logits) @ weight - weight[label]` [rows, d_model], block by block.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        head_type: torch.dtype,
    ) -> Tensor:
        """The mean loss over hidden [rows, d_model], with labels [rows]."""
        if not ctx.needs_input_grad[0]:
            return _exact_loss(hidden, weight, bias, labels)
        gradient = torch.empty_like(hidden)
        of_label = torch.empty(labels.shape, device=hidden.device)
        stored_rounded = weight.dtype != torch.float32
        factor = weight if stored_rounded else weight.to(head_type)
        bias = bias if stored_rounded or bias is None else bias.to(head_type)
        for start in range(0, len(hidden), ROWS):
            block = slice(start, start + ROWS)
            logits = functional.linear(hidden[block].to(factor.dtype), factor, bias)
            softmax_type = torch.float32 if stored_rounded else None
            probabilities = torch.softmax(logits, 1, dtype=softmax_type)  # [block, vocab]
            of_label[block] = probabilities.gather(1, labels[block, None]).squeeze(1)
            gradient[block] = probabilities.to(factor.dtype) @ factor
        gradient -= weight[labels]
        ctx.save_for_backward(gradient.div_(len(hidden)))
        return _mean_for_display(of_label)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None, None]:
        """The gradient of the hidden states; the head has none."""
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0].to(gradient.dtype), None, None, None, None


def _exact_loss(hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:
    """The mean loss over hidden [rows, d_model], in single precision at least."""
    total = torch.zeros((), dtype=torch.float64, device=hidden.device)
    for rows, label in zip(hidden.split(ROWS), labels.split(ROWS), strict=True):
        logits = functional.linear(rows.to(weight.dtype), weight, bias)  # [block, vocab]
        total += functional.cross_entropy(logits.float(), label, reduction="sum")
    return (total / len(hidden)).float()


def _mean_for_display(of_label: Tensor) -> Tensor:
    """The mean loss in nats, of a row 87 at most; probabilities spare a pass over the logits."""
    return -of_label.clamp_min(torch.finfo(torch.float32).tiny).log().mean()
