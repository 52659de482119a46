"""Combiners: a weight for each module at each position, on top of the base path.

    out = h + sum_i w_i(h, d) * d_i         h: what the layer gives by itself
                                            d_i: what module i would add to it

Every weight that is learnt is 0 at first, so that the layer is the backbone's own, bit for bit. A
weight is a number, not a share: training may leave it above 1 or below 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from transplant.modules.tensors import load_tensors


class Combiner(nn.Module, ABC):
    """Weighs the changes of several modules.

    Args:
        members: how many modules.
        width: of the layer's output.
    """

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.members, self.width = members, width

    @abstractmethod
    def forward(self, hidden: Tensor, deltas: Tensor) -> Tensor:
        """The weights [..., members], each position by itself.

        Args:
            hidden: [..., width], what the layer gives by itself.
            deltas: [..., members, width], what each module would add.
        """

    def load_own(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes the weights as they were stored.

        Raises:
            ShapeError: tensors are missing, unknown or of other shapes.
        """
        load_tensors(self, tensors, "combiner")


def fused_change(combiner: Combiner, hidden: Tensor, deltas: Tensor) -> Tensor:
    """sum_i w_i * d_i [..., width], computed in single precision.

    Args:
        combiner: gives the weights.
        hidden: [..., width].
        deltas: [..., members, width].
    """
    own = deltas.float()
    weights = combiner(hidden.float(), own)  # [..., members]
    return (weights[..., None] * own).sum(-2).to(hidden.dtype)
