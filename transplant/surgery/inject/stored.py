"""Injections as artifacts: what is stored beside the tensors, and how a graft is rebuilt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from transplant.backbones.parts import block_width
from transplant.backbones.view import Backbone
from transplant.surgery.bank.piece import Part
from transplant.surgery.inject.config import InjectConfig
from transplant.surgery.inject.graft import Graft
from transplant.surgery.inject.hosted import InjectedModel, Injection
from transplant.surgery.record import Record


@dataclass(frozen=True, kw_only=True)
class InjectionRecord(Record):
    """Where a part comes from, where it works, and how its bridges and gate are built."""

    OF = "an injection"

    bank: str
    """The name of the bank."""
    donor: str
    """The backbone that the bank was taken from."""
    part: str
    """The piece: `ffn.3`, `heads.1`, `heads.1.0` or `layer.2`."""
    layer: int
    """The block of the target."""
    gate: str
    """The kind of gate."""
    mixture: int
    """Specialist bridges."""

    @property
    def kind(self) -> str:
        """`ffn`, `heads` or `layer`."""
        return self.part.split(".")[0]


def build_graft(
    record: InjectionRecord, part: Part, target: Backbone, tensors: Mapping[str, Tensor]
) -> Graft:
    """A graft with its stored bridges and gate."""
    config = InjectConfig(gate=record.gate, mixture=record.mixture)
    graft = Graft(part, block_width(target), config)
    graft.load_own(tensors)
    return graft


def host_graft(name: str, target: Backbone, record: InjectionRecord, graft: Graft) -> InjectedModel:
    """A graft at work in its place, frozen."""
    graft.requires_grad_(False)
    return InjectedModel(name, target, [Injection(record.layer, record.kind, graft)])
