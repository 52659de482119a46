"""Updating a backbone: a copy of it changes, the original and the modules on it do not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from transplant.backbones.view import Backbone
from transplant.backbones.views import view_of
from transplant.errors import InputError
from transplant.modules.interface import Interface
from transplant.progress import Progress
from transplant.text.windows import Window
from transplant.training.config import UpdateConfig
from transplant.training.finetune import Held, finetune
from transplant.training.lora import lora
from transplant.training.rounding import half, int8
from transplant.training.z_cache import ReferenceZ


@dataclass(frozen=True)
class Updated:
    """A backbone after its update, and the interfaces that read z from it."""

    backbone: Backbone
    interfaces: tuple[Interface, ...]
    """Copies; equal to those before the update, unless it trained them."""


def update_backbone(
    backbone: Backbone,
    windows: Sequence[Window],
    config: UpdateConfig,
    interfaces: Sequence[Interface] = (),
    *,
    first: tuple[Backbone, Sequence[Interface]] | None = None,
    progress: Progress | None = None,
) -> Updated:
    """Updates a copy of a backbone; needs memory for both, and `config.cache_bytes` for z.

    Args:
        backbone: what is updated; it stays as it is.
        windows: text to learn from; kinds that only round weights read none of it.
        config: the recipe.
        interfaces: of the modules whose z the stability term holds.
        first: the backbone and the interfaces whose z is the reference, where they are not the
            given ones: an update that follows on others.
        progress: called after each step.

    Raises:
        InputError: a stability term without an interface that it could hold.
    """
    if config.stability > 0 and not interfaces:
        raise InputError("a stability term needs an interface to hold", found="none")
    kept = tuple(
        copy.deepcopy(one).to(backbone.device).requires_grad_(False).eval() for one in interfaces
    )
    held = None
    if config.stability > 0:
        original, theirs = first or (backbone, interfaces)
        reference = ReferenceZ(original, theirs, windows, config.cache_bytes)
        held = Held(kept, reference)
        for interface in kept:
            _reading_side(interface, config.train_interface)
    with backbone.frozen():
        changed = duplicate(backbone)
        KINDS[config.kind](changed, windows, config, held, progress)
    for interface in kept:
        interface.requires_grad_(False)
    # Viewed anew: the hash of the weights is that of the new ones.
    return Updated(view_of(changed.name, changed.model, changed.tokenizer), kept)


def duplicate(backbone: Backbone) -> Backbone:
    """A copy in single precision, in which a small step is not rounded away."""
    backbone.require_weights("an update")
    return view_of(
        f"{backbone.name}, updated", copy.deepcopy(backbone.model).float(), backbone.tokenizer
    )


def full(
    backbone: Backbone,
    windows: Sequence[Window],
    config: UpdateConfig,
    held: Held | None,
    progress: Progress | None,
) -> None:
    """Fine-tunes every weight."""
    backbone.model.requires_grad_(True)
    finetune(backbone, windows, config, held, progress)


def merge(
    backbone: Backbone,
    windows: Sequence[Window],
    config: UpdateConfig,
    held: Held | None,
    progress: Progress | None,
) -> None:
    """The mean of the weights of two fine-tunes, each on every other window."""
    if len(windows) < 2:
        raise InputError("a merge of two fine-tunes", expected="2 windows or more", found=1)
    other = duplicate(backbone)
    for number, side in enumerate((backbone, other)):
        mine = windows[number::2]
        recipe = replace(config, seed=config.seed + number)
        full(side, mine, recipe, held and held.on(mine), progress)
    theirs = dict(other.model.named_parameters())
    with torch.no_grad():
        for name, parameter in backbone.model.named_parameters():
            parameter.copy_((parameter + theirs[name]) / 2)


Kind = Callable[
    [Backbone, Sequence[Window], UpdateConfig, Held | None, Progress | None],
    None,
]
KINDS: dict[str, Kind] = {
    "finetune": full,
    "lora": lora,
    "half": half,
    "int8": int8,
    "merge": merge,
}


def _reading_side(interface: Interface, trained: bool) -> None:
    """Lets the part of an interface that makes z ask for a gradient."""
    for part in (interface.tap_norms, interface.proj_in, interface.abi_norm):
        part.requires_grad_(trained)
