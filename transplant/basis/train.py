"""Training of what is at work inside a frozen backbone, by next-token cross-entropy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from transplant.backbones.token_losses import token_losses
from transplant.backbones.view import Backbone
from transplant.basis.config import AdaptConfig
from transplant.progress import Progress
from transplant.text.windows import Window, batches
from transplant.training.course import Course
from transplant.training.descent import Plan, descend
from transplant.training.loop import WindowOrder
from transplant.training.losses import next_token_loss


def train_inside(
    backbone: Backbone,
    moving: nn.Module,
    windows: Sequence[Window],
    held: Sequence[Window],
    config: AdaptConfig,
    progress: Progress | None = None,
    *,
    learned: Callable[[int], None] = lambda _step: None,
    penalty: Callable[[], Tensor] | None = None,
) -> Course:
    """Trains the parameters of a module that already works inside the backbone.

    The order of the windows depends on the seed alone, so that methods see the same batches. It
    ends with the best of all looks at `held`, the start included.

    Args:
        backbone: with the module at work in it; its head does not learn.
        moving: its parameters that ask for a gradient are trained.
        windows: of the training split.
        held: of the calibration split: the best step is chosen on it.
        config: the recipe.
        progress: called after each step.
        learned: called behind each step, as long as its gradient is there.
        penalty: added to the loss of every step.

    Raises:
        NumericalError: a gradient that is not finite.
    """
    order = WindowOrder(len(windows), config.batch, config.seed)

    def loss(step: int) -> Tensor:
        states = backbone.run([windows[index] for index in order.batch(step)]).labelled()
        found = next_token_loss(backbone, states.h_last, states.labels)
        return found if penalty is None else found + penalty()

    rates = [(moving, config.learning_rate)]
    plan = Plan(rates, config.steps, loss, lambda: mean_loss(backbone, held), learned)
    return descend(plan, config, progress)


@torch.no_grad()
def mean_loss(backbone: Backbone, windows: Sequence[Window]) -> float:
    """The mean next-token loss over windows, in nats per token, of whatever is at work."""
    total, rows = 0.0, 0
    for batch in batches(windows):
        states = backbone.read([windows[index] for index in batch]).labelled()
        total += float(token_losses(backbone, states.h_last, states.labels).double().sum())
        rows += len(states)
    return total / rows
