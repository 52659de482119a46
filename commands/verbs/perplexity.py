"""Measure the perplexity of models on a text: a token, a byte and a document.

Example: abi perplexity python@ref-gpt2 ref-gpt2 ref-llama --data ./sources
"""

from __future__ import annotations

from typing import Annotated

from commands.options import Field, Fields, HeldOutText
from commands.session import Session
from transplant.evaluation.perplexity_config import PerplexityConfig


def perplexity(
    session: Session,
    *,
    names: Annotated[list[str], Field(argument=True, metavar="NAME...")],
    data: HeldOutText = None,
    config: Annotated[
        PerplexityConfig,
        Fields("whole", window=Field(low=2), eval_tokens=Field(low=64)),
    ],
) -> None:
    """Measure the perplexity of models on a text: a token, a byte and a document.

    Args:
        names: backbones, or what is hosted: NAME@BACKBONE.
    """
    from transplant.tables.perplexity import perplexity_sheet

    report = session.perplexity(names, data, config=config)
    session.out.result(report, perplexity_sheet(report))
