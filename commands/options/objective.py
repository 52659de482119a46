"""An objective and its recipe: `calibrate`."""

from __future__ import annotations

from typing import Annotated

from transplant.calibration.objectives.choice import ObjectiveChoice
from transplant.calibration.objectives.spec import SPECS
from transplant.options import Field, Fields

Objective = Annotated[
    ObjectiveChoice,
    Fields(
        "anchor tokens window_choice steps train schedule learning_rate chunks",
        objective=Field(
            help="What the interface is calibrated by, and what that needs: "
            + "; ".join(f"{name} ({', '.join(spec.needs)})" for name, spec in SPECS.items())
            + "."
        ),
    ),
]
