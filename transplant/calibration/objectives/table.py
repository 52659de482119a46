"""The objectives that learn, by the names that `spec.SPECS` gives them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from transplant.calibration.objectives.batches import Batch
from transplant.calibration.objectives.corr_mse import corr_mse
from transplant.calibration.objectives.corr_mse_curriculum import corr_mse_curriculum
from transplant.calibration.objectives.corr_mse_weighted import corr_mse_weighted
from transplant.calibration.objectives.donor_changes import donor_changes
from transplant.calibration.objectives.donor_kd import donor_kd
from transplant.calibration.objectives.kd import kd
from transplant.calibration.objectives.kl import kl
from transplant.calibration.objectives.lm import lm
from transplant.calibration.objectives.logit_mse import logit_mse

Loss = Callable[[Batch, Tensor, float], Tensor]
"""From a batch, the correction [rows, d_model] and the share of steps done to a number."""

LOSSES: dict[str, Loss] = {
    "donor-kd": donor_kd,
    "donor-changes": donor_changes,
    "corr-mse": corr_mse,
    "corr-mse-weighted": corr_mse_weighted,
    "corr-mse-curriculum": corr_mse_curriculum,
    "logit-mse": logit_mse,
    "kl": kl,
    "kd": kd,
    "lm": lm,
    "lm+donor-kd": lm,  # what is judged; the donor teaches beside it
    "lm+donor-changes": lm,
}
WHOLE_BATCH: frozenset[Loss] = frozenset({corr_mse_weighted, corr_mse_curriculum})
"""Those that are no mean of what each row gives: they look at a batch as a whole."""
