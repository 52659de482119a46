"""A backbone corrected by the steps of a written equation: what a reader of the folder computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.modules.hosted import HostedModel
from transplant.workflows.export.equation import follow


class Equation:
    """The steps of a folder as something that corrects.

    Args:
        said: its `equation.json`.
        tensors: its tensors, where the backbone is.
    """

    def __init__(self, said: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.taps = tuple(int(entry["tap"]) for entry in said["inputs"].values())
        self._steps, self._tensors = said["steps"], tensors

    def __call__(self, taps: Mapping[int, Tensor], windows: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """The correction [batch, seq, d_model]."""
        return follow(self._steps, self._tensors, {f"h{tap}": taps[tap] for tap in self.taps})


class EquationModel(HostedModel):
    """A backbone with them at work.

    Args:
        backbone: the frozen language model.
        equation: what is added to its last hidden state.
    """

    def __init__(self, backbone: Backbone, equation: Equation) -> None:
        super().__init__(f"equation@{backbone.name}", backbone)
        self._equation = equation

    @property
    def is_raw(self) -> bool:
        """Never."""
        return False

    @property
    def corrector(self) -> Equation:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The steps."""
        return self._equation
