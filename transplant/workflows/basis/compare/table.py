"""The table of methods: how each is prepared, and the three rates that are searched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from transplant.workflows.basis.compare import own, peers
from transplant.workflows.basis.compare.method import Prepared, Scene

LORA_RATES = (5e-4, 2e-3, 8e-3)
FULL_RATES = (1e-4, 4e-4, 1.6e-3)


@dataclass(frozen=True)
class Row:
    """A method by name."""

    prepare: Callable[[Scene], Prepared]
    rates: tuple[float, float, float] = LORA_RATES
    """Peak rates of AdamW; the calibration split chooses."""
    ablation: bool = False
    """Whether it is BASIS without one of its parts."""


METHODS: dict[str, Row] = {
    "basis": Row(own.basis, own.LEARNING_RATES),
    "basis-energy": Row(own.basis_energy, own.LEARNING_RATES, ablation=True),
    "basis-uniform": Row(own.basis_uniform, own.LEARNING_RATES, ablation=True),
    "basis-random": Row(own.basis_random, own.LEARNING_RATES, ablation=True),
    "basis-free": Row(own.basis_free, own.LEARNING_RATES, ablation=True),
    "lora": Row(peers.lora),
    "rslora": Row(peers.rslora),
    "pissa": Row(partial(peers.lora, init_lora_weights="pissa")),
    "olora": Row(partial(peers.lora, init_lora_weights="olora")),
    "eva": Row(peers.eva),
    "corda-kpm": Row(peers.corda_kpm),
    "corda-ipm": Row(peers.corda_ipm),
    "lora-ga": Row(peers.lora_ga),
    "adalora": Row(peers.adalora),
    "dora": Row(peers.dora),
    "full": Row(peers.full, FULL_RATES),
}
"""By name: BASIS, its ablations, PEFT's adapters, and all weights of the same maps."""
