"""Options that the verbs of BASIS share."""

from __future__ import annotations

from transplant.options import Field, Fields

_TRAINED = "steps batch window calibration_tokens evaluate_every seed"
_TOKENS = Field(of="train_tokens")
ADAPTED = Fields(f"{_TRAINED} learning_rate", tokens=_TOKENS)
"""How the matrices C are trained."""
COMPARED = Fields(_TRAINED, tokens=_TOKENS)
"""The same of a comparison, which searches a rate for each method."""
