"""A language model and its tokenizer, written as a `save_pretrained` folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transplant.backbones.quiet import quiet


def write_model(model: Any, tokenizer: Any, folder: Path | str) -> None:
    """Fills a folder; the bar of `transformers` stays off the terminal, which has its own.

    Args:
        model: of `transformers`.
        tokenizer: of `transformers`.
        folder: it is made where there is none.
    """
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
