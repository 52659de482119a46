"""The table of methods: how each is prepared, and the three rates that are searched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from transplant.workflows.basis.compare import of_gradients, of_outputs, peers
from transplant.workflows.basis.compare.method import Method

LORA_RATES = (5e-4, 2e-3, 8e-3)
FULL_RATES = (1e-4, 4e-4, 1.6e-3)


@dataclass(frozen=True)
class Row:
    """A method by name."""

    prepare: Method
    rates: tuple[float, float, float] = LORA_RATES
    """Peak rates of AdamW, ascending; the calibration split chooses, and where it chooses one at an
    end the search goes on beyond it."""
    ablation: bool = False
    """Whether it is BASIS without one of its parts, or with other directions."""


def _without(prepare: Method) -> Row:
    """A row of BASIS without one of its parts."""
    return Row(prepare, of_gradients.LEARNING_RATES, ablation=True)


def _outputs(prepare: Method) -> Row:
    """A row of BASIS inside directions of outputs."""
    return Row(prepare, of_outputs.LEARNING_RATES, ablation=True)


METHODS: dict[str, Row] = {
    "basis": Row(of_gradients.basis, of_gradients.LEARNING_RATES),
    "basis-energy": _without(of_gradients.basis_energy),
    "basis-uniform": _without(of_gradients.basis_uniform),
    "basis-unspared": _without(of_gradients.basis_unspared),
    "basis-random": _without(of_gradients.basis_random),
    "basis-loose": _without(of_gradients.basis_loose),
    "basis-outputs": _outputs(of_outputs.outputs),
    "basis-outputs-energy": _outputs(of_outputs.outputs_energy),
    "basis-outputs-uniform": _outputs(of_outputs.outputs_uniform),
    "basis-outputs-random": _outputs(of_outputs.outputs_random),
    "basis-outputs-free": _outputs(of_outputs.outputs_free),
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
