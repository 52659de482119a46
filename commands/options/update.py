"""How a backbone is updated, and its modules repaired: `invariance`, `succession`."""

from __future__ import annotations

from typing import Annotated

from transplant.calibration.config import RepairConfig
from transplant.options import Field, Fields
from transplant.training.config import UpdateConfig

Update = Annotated[
    UpdateConfig,
    Fields(
        "kind steps batch window learning_rate stability seed",
        train_interface=Field(spelled="--train-interface/--freeze-interface"),
    ),
]
Repair = Annotated[RepairConfig, Fields(repair_tokens=Field(of="tokens", low=64))]
