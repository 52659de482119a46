"""Options that the verbs of BASIS share."""

from __future__ import annotations

from transplant.options import Field, Fields
from transplant.values import count_of


def tokens_of(field: str = "tokens") -> Field:
    """The option `--tokens` of a field that counts them."""
    return count_of("tokens", "Tokens that are read, as 50000 or 200k.", of=field)


BUDGET = count_of("budget", "Trainable parameters, as 100k.")
_TRAINED = "steps batch window calibration_tokens evaluate_every seed"
ADAPTED = Fields(f"{_TRAINED} learning_rate", tokens=tokens_of("train_tokens"))
"""How the matrices C are trained."""
COMPARED = Fields(_TRAINED, tokens=tokens_of("train_tokens"))
"""The same of a comparison, which searches a rate for each method."""
