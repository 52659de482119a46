"""Merging a LoRA into a copy of its backbone."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from transplant.backbones.memory import copy_bytes
from transplant.backbones.view import Backbone
from transplant.backbones.views import view_of
from transplant.errors import InputError
from transplant.memory import check_memory
from transplant.surgery.lora.update import LoraUpdate


@torch.no_grad()
def merged(name: str, backbone: Backbone, update: LoraUpdate) -> Backbone:
    """A new backbone W + s B A; the given one stays as it is.

    Sums are taken in single precision and rounded once to the backbone's own.

    Args:
        name: of the new backbone.
        backbone: the frozen language model.
        update: what the adapter changes.

    Raises:
        InputError: a weight that other modules share, or a bias where the backbone has none.
        BackboneError: weights that are not in memory.
        MemoryLimitError: as `check_mergeable`.
    """
    check_mergeable(backbone, [*update.whole, *(f"{module}.weight" for module in update.pairs)])
    model = copy.deepcopy(backbone.model)
    for parameter, value in update.whole.items():
        model.get_parameter(parameter).copy_(value)
    for module, pair in update.pairs.items():
        owner = model.get_submodule(module)
        # A Conv1D and a table of embeddings hold [in, out].
        delta = pair.delta if isinstance(owner, nn.Linear) else pair.delta.T
        _add(owner.weight, delta)
        if pair.bias is not None:
            if owner.bias is None:
                raise InputError(
                    f"{module} of {backbone.name} has no bias to merge the adapter's into",
                    hint="without `merge` it is attached",
                )
            _add(owner.bias, pair.scale * pair.bias.float())
    return view_of(name, model, backbone.tokenizer)


def _add(parameter: Tensor, delta: Tensor) -> None:
    parameter.copy_(parameter.float() + delta.to(parameter.device))


def check_mergeable(backbone: Backbone, changed: Iterable[str]) -> None:
    """Refuses a merge that cannot be, before what is to be merged is made.

    Args:
        backbone: the frozen language model.
        changed: names of the parameters that it would change.

    Raises:
        InputError: a weight that another module uses as well: attached, only one use changes.
        BackboneError: weights that are not in memory.
        MemoryLimitError: the copy that is changed does not fit into memory.
    """
    backbone.require_weights("a merge")
    needed = {"a copy of its weights": copy_bytes(backbone.model)}
    check_memory(f"a merge into {backbone.name}", needed, "without `merge` it is attached")
    names: dict[int, list[str]] = {}
    for name, parameter in backbone.model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    shared = {name: group for group in names.values() for name in group if len(group) > 1}
    for name in changed:
        if name in shared:
            raise InputError(
                f"{name} of {backbone.name} is shared with other modules, and a merge would "
                "change them too",
                found=", ".join(shared[name]),
                hint="without `merge` it is attached, which changes one use alone",
            )
