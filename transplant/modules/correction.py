"""The correction: an interface and a domain module, before any backbone."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from transplant.errors import ShapeError
from transplant.modules.domain import DomainModule
from transplant.modules.interface import Interface


class Correction(nn.Module):
    """What the interface and the module add to the last hidden state.

    Row vectors: z = LN(t P_in), y = z + alpha D(z), c = y P_out.
    """

    def __init__(self, interface: Interface, module: DomainModule) -> None:
        super().__init__()
        if interface.d_abi != module.d_abi:
            raise ShapeError(
                "interface and domain module differ in d_abi",
                expected=module.d_abi,
                found=interface.d_abi,
                hint="train or align with the module's `d_abi`",
            )
        self.interface = interface
        self.module = module

    @property
    def taps(self) -> tuple[int, ...]:
        """The taps it reads."""
        return self.interface.taps

    def output(self, taps: Mapping[int, Tensor], windows: Tensor | None = None) -> Tensor:
        """y [..., d_abi], the domain module's output."""
        return self.module.y(self.interface.read_in(taps), windows)

    def change(self, taps: Mapping[int, Tensor], windows: Tensor | None) -> Tensor:
        """The correction [..., d_model], in the module's own precision."""
        return self.interface.write_out(self.output(taps, windows))

    def forward(self, taps: Mapping[int, Tensor], windows: Tensor | None = None) -> Tensor:
        """The correction [..., d_model] for the hidden states of each tap [..., d_model].

        It is computed in the module's own precision, whatever the backbone's is.

        Args:
            taps: [batch, seq, d_model], or [rows, d_model] of several windows.
            windows: [rows], the window of each row; for modules that read windows.
        """
        own = self.interface.proj_in.weight.dtype
        states = {tap: taps[tap].to(own) for tap in self.taps}
        return self.change(states, windows).to(taps[self.taps[-1]].dtype)
