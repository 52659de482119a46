"""Keeps off the terminal what `transformers` and accelerate say while they load."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the report of `transformers` off the terminal: errors here say the same by name."""
    from transformers.utils import logging as hub_logging

    before, bar = hub_logging.get_verbosity(), hub_logging.is_progress_bar_enabled()
    hub_logging.set_verbosity(logging.CRITICAL)
    hub_logging.disable_progress_bar()
    dispatching = logging.getLogger("accelerate.big_modeling")  # says what is offloaded, as asked
    its_own = dispatching.level
    dispatching.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        dispatching.setLevel(its_own)
        hub_logging.set_verbosity(before)
        if bar:
            hub_logging.enable_progress_bar()
