"""A hosted linear map: a frozen backbone and an affine map of its taps at work together."""

from __future__ import annotations

from transplant.backbones.view import Backbone
from transplant.errors import ShapeError
from transplant.modules.hosted import HostedModel
from transplant.modules.linear import LinearCorrection


class LinearModel(HostedModel):
    """A backbone with a linear correction at work on its last hidden state.

    Args:
        name: `<name>@<backbone>`.
        backbone: the frozen language model.
        linear: what is added.
    """

    def __init__(self, name: str, backbone: Backbone, linear: LinearCorrection) -> None:
        super().__init__(name, backbone)
        if linear.interface.d_model != backbone.d_model:
            raise ShapeError(
                f"the linear map does not fit {backbone.name}",
                expected=f"d_model {backbone.d_model}",
                found=linear.interface.d_model,
            )
        backbone.check_taps(linear.taps)
        self.linear = linear.to(backbone.device).eval()

    @property
    def is_raw(self) -> bool:
        """Never."""
        return False

    @property
    def corrector(self) -> LinearCorrection:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What is added to the last hidden state."""
        return self.linear
