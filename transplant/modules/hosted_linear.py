"""A hosted linear map: a frozen backbone and an affine map of its taps at work together."""

from __future__ import annotations

from transplant.backbones.view import Backbone
from transplant.errors import ShapeError
from transplant.modules.hosted import HostedModel
from transplant.modules.linear import LinearCorrection
from transplant.modules.saved import Opened
from transplant.modules.stand_alone import StandAlone, stand_alone_linear


class LinearModel(HostedModel):
    """A backbone with a linear correction at work on its last hidden state.

    Args:
        name: `<name>@<backbone>`.
        backbone: the frozen language model.
        linear: what is added.
    """

    saved_as = {
        "language_model.": "backbone.", "linear.interface.tap_norms.": "linear.tap_norms.",
        "linear.bases.": "linear.bases.", "linear.proj_out.": "linear.proj_out.",
    }  # fmt: skip

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
        self.linear.proj_out.requires_grad_(True)

    @property
    def is_raw(self) -> bool:
        """Never."""
        return False

    @property
    def corrector(self) -> LinearCorrection:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What is added to the last hidden state."""
        return self.linear

    def stand_alone(self) -> StandAlone:
        """The map, as the exported code builds it."""
        return stand_alone_linear(self.linear)

    @classmethod
    def opened(cls, folder: Opened) -> LinearModel:
        """The model of a folder that was read."""
        tensors = {
            f"interface.{name}" if name.startswith("tap_norms.") else name: tensor
            for name, tensor in folder.part("linear").items()
        }
        linear = LinearCorrection.from_stored(tensors, folder.shape["taps"])
        return cls(folder.name, folder.backbone, linear)
