"""AdamW as every loop here uses it: matrices decay, vectors do not, and gradients are clipped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import torch
from torch import nn

from transplant.errors import NumericalError
from transplant.ranks import Ranks

LATE_START = 0.5  # of the steps


def make_adamw(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
    *,
    late: Collection[nn.Parameter] = (),
) -> torch.optim.AdamW:
    """An optimizer of the parameters that ask for a gradient.

    Args:
        parameters: of a model; frozen ones are left out.
        learning_rate: the peak rate.
        weight_decay: of matrices.
        betas: of the two moments.
        late: those of them that do not move before LATE_START.
    """
    resting = set(late)
    moving = [p for p in parameters if p.requires_grad and p not in resting]
    groups = [
        {"params": [p for p in moving if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in moving if p.ndim < 2], "weight_decay": 0.0},
    ]
    if resting:
        groups.append(
            {
                "params": [p for p in late if p.requires_grad],
                "weight_decay": weight_decay,
                "late": True,
            }
        )
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float, progress: float = 1.0) -> None:
    """Sets the rate of every group, where `progress` is the share of the steps that are done."""
    for group in optimizer.param_groups:
        group["lr"] = 0.0 if group.get("late") and progress < LATE_START else rate


def take_step(
    optimizers: Sequence[torch.optim.Optimizer],
    parameters: Sequence[nn.Parameter],
    clip: float,
    step: int,
    *,
    moved: Callable[[], None] = lambda: None,
) -> None:
    """Moves the parameters by their gradient, which is clipped first and forgotten after.

    Args:
        optimizers: of the parameters.
        parameters: those whose gradient is clipped, as one vector.
        clip: the largest norm of it.
        step: the steps taken so far, for the error.
        moved: called once they have moved, as long as their gradient is there.

    Raises:
        NumericalError: the gradient is not finite.
    """
    if not torch.isfinite(nn.utils.clip_grad_norm_(parameters, clip)):
        raise NumericalError(
            f"the gradient is not finite at step {step}", hint="a smaller `learning_rate`"
        )
    for optimizer in optimizers:
        optimizer.step()
    moved()
    for optimizer in optimizers:
        optimizer.zero_grad()


def sum_gradients(
    moving: Sequence[nn.Parameter], numbers: Sequence[float], ranks: Ranks
) -> list[float]:
    """Leaves the sum of all processes' gradients in each of them; one exchange for everything.

    Args:
        moving: the parameters; one without a gradient here counts as zeros.
        numbers: are added up in the same exchange, in the type of the gradients.
        ranks: the processes, all of which must call this.

    Returns:
        The sums of the numbers.
    """
    parts = [p.new_zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in moving]
    tail = torch.tensor(numbers, dtype=parts[0].dtype, device=parts[0].device)
    summed = torch.cat([*parts, tail])
    ranks.sum(summed)
    sums = summed.split([*map(len, parts), len(tail)])
    for p, part in zip(moving, sums, strict=False):
        p.grad = part.view_as(p)
    return sums[-1].tolist()
