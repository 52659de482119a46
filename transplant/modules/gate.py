"""The gate of a module: where it is at work, and where the backbone is left as it is.

    s_t = z_t w + b                                   what one position says
    e_t = sum over r <= t of memory^(t - r) * s_r     the evidence so far: causal
    the module is at work at t where e_t > 0

Behind a shut gate the correction is exactly 0. It reads z, which an update that held z, or a repair
that solved for it again, leaves where it was.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from transplant.errors import InputError, ShapeError
from transplant.modules.correction import Correction
from transplant.modules.tensors import load_tensors

SPAN = 256  # positions that are summed at once


class Gate(nn.Module):
    """On or off for each position, from z up to there.

    Args:
        d_abi: the width of the shared space.
        memory: the weight of what one position said at the next, 0 to 1; 0 forgets at once.
    """

    def __init__(self, d_abi: int, memory: float = 0.0) -> None:
        super().__init__()
        if not 0 <= memory <= 1:
            raise InputError("a gate's memory", expected="0 to 1", found=memory)
        self.weight = nn.Parameter(torch.zeros(d_abi), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.memory: Tensor
        self.register_buffer("memory", torch.tensor(float(memory)))

    def scores(self, z: Tensor) -> Tensor:
        """s [...], of z [..., d_abi]."""
        return z @ self.weight + self.bias

    def evidence(self, scores: Tensor, before: Tensor | None = None) -> Tensor:
        """e [batch, seq], of s [batch, seq] and the evidence [batch] before the first of them."""
        steps = torch.arange(min(SPAN, scores.shape[1]), device=scores.device)
        apart = (steps[:, None] - steps).clamp_min(0)
        weights = (self.memory**apart).tril()
        carried = scores.new_zeros(len(scores)) if before is None else before
        parts = []
        for part in scores.split(SPAN, dim=1):
            seq = part.shape[1]
            later = self.memory ** (steps[:seq] + 1)
            parts.append(part @ weights[:seq, :seq].T + carried[:, None] * later)
            carried = parts[-1][:, -1]
        return torch.cat(parts, dim=1)

    def evidence_of_rows(self, scores: Tensor, windows: Tensor) -> Tensor:
        """The same for the rows of several windows, each of which begins without evidence.

        Args:
            scores: s [rows].
            windows: [rows], the window of each row, ascending.
        """
        counts = torch.unique_consecutive(windows, return_counts=True)[1]
        padded = pad_sequence(list(scores.split(counts.tolist())), batch_first=True)
        real = torch.arange(padded.shape[1], device=scores.device) < counts[:, None]
        return self.evidence(padded)[real]  # padding comes after the text: no row sees it

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Gate:
        """Rebuilds a gate from its stored tensors.

        Raises:
            ShapeError: tensors are missing, unknown or of other shapes.
        """
        if "weight" not in tensors or tensors["weight"].ndim != 1:
            raise ShapeError("no gate", expected="weight [d_abi]", found=sorted(tensors))
        gate = cls(len(tensors["weight"]))
        load_tensors(gate, tensors, "gate")
        return gate


class Gated(nn.Module):
    """A correction that is 0 where the gate is shut.

    Args:
        correction: interface and module.
        gate: fitted to the z of that interface.
    """

    def __init__(self, correction: Correction, gate: Gate) -> None:
        super().__init__()
        check_gate(correction, gate)
        self.correction, self.gate = correction, gate

    @property
    def taps(self) -> tuple[int, ...]:
        """The taps that the correction reads."""
        return self.correction.taps

    def scores(self, taps: Mapping[int, Tensor]) -> Tensor:
        """s [...], in the module's own precision, of hidden states [..., d_model]."""
        own = self.correction.interface.proj_in.weight.dtype
        states = {tap: taps[tap].to(own) for tap in self.taps}
        return self.gate.scores(self.correction.interface.read_in(states))

    def forward(self, taps: Mapping[int, Tensor], windows: Tensor | None = None) -> Tensor:
        """The correction where the gate is open, as `Correction.forward` gives it.

        Args:
            taps: [batch, seq, d_model], or [rows, d_model] of several windows.
            windows: [rows], the window of each row.

        Raises:
            InputError: rows without their windows.
        """
        scores = self.scores(taps)
        if windows is not None:
            evidence = self.gate.evidence_of_rows(scores, windows)
        elif scores.ndim == 2:
            evidence = self.gate.evidence(scores)
        else:
            raise InputError("a gate reads windows", expected="rows with the window of each")
        return self.at_work(self.correction(taps, windows), evidence)

    @staticmethod
    def at_work(correction: Tensor, evidence: Tensor) -> Tensor:
        """The correction [..., d_model] where the evidence [...] is above 0, elsewhere 0."""
        return torch.where(evidence[..., None] > 0, correction, torch.zeros_like(correction))


def check_gate(correction: Correction, gate: Gate) -> None:
    """Refuses a gate of another width.

    Raises:
        ShapeError: naming both widths.
    """
    if len(gate.weight) != correction.interface.d_abi:
        raise ShapeError(
            "the gate was fitted to another z",
            expected=f"d_abi {correction.interface.d_abi}",
            found=len(gate.weight),
            hint="`gate(replace=True)`",
        )
