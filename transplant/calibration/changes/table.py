"""The ways to carry a change of logits across tokenizers, by the names that `spec` gives them."""

from __future__ import annotations

from transplant.calibration.changes import begins_with, lacking, push_forward
from transplant.calibration.changes.spec import BEGINS_WITH, LACKING, PUSH_FORWARD
from transplant.calibration.changes.way import Way

WAYS: dict[str, Way] = {
    BEGINS_WITH: Way(
        begins_with.images, begins_with.of_all, begins_with.of_likely, push_forward.change_of
    ),
    PUSH_FORWARD: Way(
        push_forward.images, push_forward.of_all, push_forward.of_likely, push_forward.change_of
    ),
    LACKING: Way(push_forward.images, lacking.of_all, lacking.of_likely, lacking.of_masses),
}
