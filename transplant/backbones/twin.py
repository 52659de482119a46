"""A second backbone of the same weights: what is hooked to the one does not reach the other."""

from __future__ import annotations

import copy
from itertools import chain

from transplant.backbones.view import Backbone


def twin_of(backbone: Backbone) -> Backbone | None:
    """A backbone whose modules are copies and whose tensors are the same.

    Args:
        backbone: loaded.

    Returns:
        The twin; None where the weights are spread over devices and the disk, whose hooks no copy
        follows.
    """
    if getattr(backbone.model, "hf_device_map", None):
        return None
    tensors = chain(backbone.model.parameters(), backbone.model.buffers())
    same = {id(tensor): tensor for tensor in tensors}
    twin = copy.copy(backbone)
    twin.model = copy.deepcopy(backbone.model, same)
    return twin
