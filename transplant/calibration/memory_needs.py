"""The memory that the fits of a move take, beside its paired rows."""

from __future__ import annotations

from transplant.activations.covariance import OVERSAMPLED, WHOLE
from transplant.backbones.view import Backbone
from transplant.calibration.config import MoveConfig
from transplant.memory import check_memory

SQUARES = 4  # the moments, the same centred, the system, and its factor
FULL = 5  # matrices of all columns in the solver: weights, residual, direction, two products


def check_fits(
    outputs: int, donor_backbone: Backbone, target: Backbone, config: MoveConfig
) -> None:
    """Refuses a move whose fits do not fit into the memory that is free.

    Args:
        outputs: the width of what the input map predicts.
        donor_backbone: the donor's backbone.
        target: the backbone that is moved to.
        config: taps and columns.

    Raises:
        MemoryLimitError: names what takes how much.
    """
    check_memory(
        f"the move to {target.name}",
        fit_bytes(outputs, donor_backbone, target, config),
        "fewer `columns` or `taps`",
    )


def fit_bytes(
    outputs: int, donor_backbone: Backbone, target: Backbone, config: MoveConfig
) -> dict[str, int]:
    """The bytes of the moments, of the input map and of the two heads."""
    taps = len(config.taps or target.all_taps)
    width = taps * target.d_model
    columns = min(width, config.columns)
    found = {
        "moments": 8 * SQUARES * columns * columns,
        "the input map": 4 * width * outputs,
        "the heads": 4 * sum(one.vocab_size * one.d_model for one in (donor_backbone, target)),
    }
    if width > columns:
        share = max(1, columns // taps)
        seen = target.d_model if target.d_model <= WHOLE else share + OVERSAMPLED
        found["covariances of taps"] = 8 * 2 * width * min(seen, target.d_model)
        found["the solver"] = 4 * FULL * width * outputs
    return found
