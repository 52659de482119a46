"""Align out, in closed form: the output map through the unembeddings, then `P_out` refitted.

Nothing here takes a gradient step, and nothing reads the target's domain text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from transplant.activations.moments import CrossMoments
from transplant.alignment.ridge import fit_ridge
from transplant.alignment.tokens import SharedTokens, shared_tokens
from transplant.alignment.unembedding import fit_output_map
from transplant.backbones.view import Backbone
from transplant.calibration.config import MoveConfig
from transplant.calibration.pairs import PairedText
from transplant.modules.domain import DomainModule
from transplant.modules.hosted import Correction
from transplant.modules.interface import Interface


class LinearCorrection(nn.Module):
    """A correction without a module: an affine map of the taps. The linear surrogate's shape.

    Args:
        interface: only its reading of the taps is used.
    """

    def __init__(self, interface: Interface) -> None:
        super().__init__()
        self.interface = interface
        self.proj_out = nn.Linear(interface.proj_in.in_features, interface.d_model)

    @property
    def taps(self) -> tuple[int, ...]:
        """The taps it reads."""
        return self.interface.taps

    def forward(self, taps: Mapping[int, Tensor]) -> Tensor:
        """The correction [..., d_model]."""
        return self.proj_out(self.interface.gather(taps))


def output_map(
    donor: Backbone, target: Backbone, counts: Mapping[str, int], config: MoveConfig
) -> tuple[Tensor, SharedTokens]:
    """M [d_donor, d_target], and the shared tokens it was fitted on."""
    shared = shared_tokens(donor.tokenizer, target.tokenizer, counts)
    matrix = fit_output_map(donor.unembedding, target.unembedding, shared, config.output_ridge)
    return matrix, shared


@torch.no_grad()
def wanted_corrections(donor: Correction, paired: PairedText, matrix: Tensor) -> tuple[Tensor, ...]:
    """What the correction should be on the target: the donor's true one, mapped.

    Returns:
        One [rows, d_target] for each batch of `paired`.
    """
    return tuple(donor(batch.donor.taps).float() @ matrix for batch in paired.batches)


@torch.no_grad()
def fit_module_output(
    reading: Interface,
    module: DomainModule,
    paired: PairedText,
    wanted: Sequence[Tensor],
    config: MoveConfig,
) -> Correction:
    """Refits `P_out` on the module's own outputs, seen through the interface that reads for it.

    Args:
        reading: an interface whose input side is fitted; it is copied, not changed.
        module: the domain module, of the donor or a random one.
        paired: the paired rows.
        wanted: the corrections to reproduce, as `wanted_corrections` gives them.
        config: the ridge strength.
    """
    interface = Interface(reading.d_model, reading.d_abi, reading.taps)
    interface.load_state_dict(reading.state_dict())
    correction = Correction(interface, module).requires_grad_(False).eval()
    moments = CrossMoments(reading.d_abi, reading.d_model)
    for batch, target in zip(paired.batches, wanted, strict=True):
        moments.update(correction.output(batch.target.taps), target)
    fit_ridge(moments, config.ridge).write_to(interface.proj_out)
    return correction


@torch.no_grad()
def fit_linear_surrogate(
    reading: Interface, paired: PairedText, wanted: Sequence[Tensor], config: MoveConfig
) -> LinearCorrection:
    """Maps the target's taps straight to the wanted corrections: what needs no module at all."""
    surrogate = LinearCorrection(reading).requires_grad_(False).eval()
    moments = CrossMoments(surrogate.proj_out.in_features, reading.d_model)
    for batch, target in zip(paired.batches, wanted, strict=True):
        moments.update(reading.gather(batch.target.taps), target)
    fit_ridge(moments, config.ridge).write_to(surrogate.proj_out)
    return surrogate
