"""Fine-tuning a backbone in place, with or without a term that holds z where it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transplant.backbones.token_losses import LOGITS, rows_at_once
from transplant.backbones.view import Backbone
from transplant.losses import LossNote
from transplant.modules.interface import Interface
from transplant.progress import Progress
from transplant.text.windows import Window
from transplant.training.config import UpdateConfig
from transplant.training.learned_head import loss_of_blocks
from transplant.training.loop import WindowOrder
from transplant.training.optimizer import make_adamw, set_rate, take_step
from transplant.training.precision import fast_products
from transplant.training.schedule import warmup_cosine
from transplant.training.z_cache import ReferenceZ


@dataclass(frozen=True)
class Held:
    """What an update with a stability term holds on to."""

    interfaces: tuple[Interface, ...]
    """They read z from the changing backbone; trained where they ask for a gradient."""
    reference: ReferenceZ
    """What they should read."""

    def on(self, windows: Sequence[Window]) -> Held:
        """The same on other windows."""
        reference = self.reference
        again = ReferenceZ(
            reference.original, reference.interfaces, windows, reference.cache_bytes // 2
        )
        return Held(self.interfaces, again)

    def distance(self, indices: Sequence[int], taps: dict[int, Tensor]) -> Tensor:
        """The mean squared distance of z to the reference, summed over interfaces."""
        total = torch.zeros((), device=next(iter(taps.values())).device)
        for interface, z in zip(self.interfaces, self.reference.rows(indices), strict=True):
            read = interface.read_in({tap: taps[tap].float() for tap in interface.taps})
            total = total + nn.functional.mse_loss(read, z)
        return total


def finetune(
    backbone: Backbone,
    windows: Sequence[Window],
    config: UpdateConfig,
    held: Held | None = None,
    progress: Progress | None = None,
) -> None:
    """Trains those parameters of a backbone that ask for a gradient, by next-token cross-entropy.

    loss = cross-entropy + stability * MSE(z, z of the original)

    Args:
        backbone: changed in place; frozen again at the end.
        windows: what it learns from.
        config: the recipe.
        held: the reference of the stability term.
        progress: called after each step.
    """
    moving = [*_moving(backbone, held)]
    optimizer = make_adamw(moving, config.learning_rate, config.weight_decay, (0.9, 0.98))
    order = WindowOrder(len(windows), config.batch, config.seed)
    taps = () if held is None else held.reference.taps
    for step in range(config.steps):
        set_rate(optimizer, config.learning_rate * warmup_cosine(step, config.steps))
        indices = order.batch(step)
        with fast_products(backbone.device):
            states = backbone.run([windows[i] for i in indices], taps).labelled()
            loss = _loss(backbone, states.h_last, states.labels)
        moved, value = "", loss.item()
        if held is not None:
            distance = held.distance(indices, states.taps)
            loss = loss + config.stability * distance
            moved = f", z moved by {distance.item():.4f}"
        loss.backward()
        take_step([optimizer], moving, config.clip, step)
        if progress is not None:
            progress(step + 1, config.steps, LossNote(value, more=moved))
    backbone.model.eval().requires_grad_(False)


def _loss(backbone: Backbone, hidden: Tensor, labels: Tensor) -> Tensor:
    """Mean next-token loss with gradients of the head too; large logits are computed twice."""
    if len(hidden) * backbone.vocab_size <= LOGITS:
        return nn.functional.cross_entropy(backbone.head(hidden).float(), labels)
    return loss_of_blocks(backbone.head, hidden, labels, rows_at_once(backbone))


def _moving(backbone: Backbone, held: Held | None) -> Iterator[nn.Parameter]:
    models: list[nn.Module] = [backbone.model, *(held.interfaces if held else ())]
    for model in models:
        yield from (parameter for parameter in model.parameters() if parameter.requires_grad)
