"""From what size on a vocabulary is looked at where it is likely, and how much of it."""

from __future__ import annotations

from transplant.backbones.view import Backbone

WHOLE = 16_384  # tokens of a vocabulary of which all are looked at
TARGETS = 8  # times `likely_tokens` are kept of the target, before changes are known
LOGITS_AT_ONCE = 2_500_000  # 10 MB of them: larger blocks leave the cache and run slower


def is_large(target: Backbone) -> bool:
    """Whether a vocabulary is looked at where it is likely, not all of it at every position."""
    return target.split_head is not None and target.vocab_size > WHOLE
